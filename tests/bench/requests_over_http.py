# SPDX-License-Identifier: Apache-2.0
"""time that answers over HTTP take, and whether the program feels them

The goals: a heap request on 100,000 live sites is answered in less than a second once the symbols are known, goroutine
on 1,000 threads in less than 300 ms, and the program goes on meanwhile. Its pace is how many blocks it makes in a given
time, while it is asked for by the time just before; its pause is the longest time that one block took. In a flood of
requests nothing is lost.
"""

import re
import shutil
import subprocess
import threading
import time
import urllib.request

from harness import median, print_table

LIVE_SITES = 100_000
THREADS = 1_000
FLOOD_CLIENTS = 16
REST_SECONDS = 0.4


class Sites:
    """tests/bench/sites.cc, watched exactly, with what it says of its pace. A context: it is ended with it."""

    def __init__(self, bench, sites, sleepers):
        self._command = bench.watched("exact", [bench.program("sites"), sites, sleepers], ["--http", "127.0.0.1:0"])
        self._command.remove("-q")  # the address is said
        self.points = []  # (time, blocks so far, longest pause in us)

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)
        self.url = read_address(self._process.stderr)
        for read in (self._read_points, self._process.stderr.read):
            threading.Thread(target=read, daemon=True).start()
        while not self.points:
            if self._process.poll() is not None:
                raise SystemExit(f"bench: {self._command} ended with {self._process.returncode}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def _read_points(self):
        for line in self._process.stdout:
            blocks, longest = line.split()
            self.points.append((time.monotonic(), int(blocks), int(longest)))

    def blocks_at(self, moment):
        """How many it had made by then; None while it has not told yet."""
        for (before, from_blocks, _), (after, to_blocks, _) in zip(self.points, self.points[1:]):
            if before <= moment <= after:
                return from_blocks + (to_blocks - from_blocks) * (moment - before) / (after - before)
        return None

    def time_of(self, blocks):
        """When it had made so many; None while it has not told yet."""
        for (before, from_blocks, _), (after, to_blocks, _) in zip(self.points, self.points[1:]):
            if from_blocks <= blocks <= to_blocks:
                return before + (after - before) * (blocks - from_blocks) / (to_blocks - from_blocks)
        return None

    def pace(self, begin, end):
        """Blocks a second."""
        return (self.blocks_at(end) - self.blocks_at(begin)) / (end - begin)

    def longest_pause_us(self, windows):
        return max((longest for moment, _, longest in self.points
                    if any(begin <= moment <= end for begin, end in windows)), default=0)

    def wait_for_words(self):
        """Until it has told of all that was until now."""
        now = time.monotonic()
        while self.points[-1][0] < now:
            time.sleep(0.01)


def read_address(stderr):
    for line in stderr:
        found = re.match(r"leakwatch: serving (http://[^/]*)/$", line)
        if found:
            return found[1]
    raise SystemExit("bench: leakwatch did not say which address it serves")


def get(url):
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read()


def metrics(url):
    lines = get(url + "/metrics").decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def lost(figures):
    """What was not seen, by its kind; 0 when nothing was."""
    kinds = {re.sub(r"^leakwatch_|_total", "", name): value for name, value in figures.items()
             if name.startswith(("leakwatch_events_lost", "leakwatch_unmatched_frees", "leakwatch_stacks_refused",
                                 "leakwatch_modules_refused", "leakwatch_recording_ended"))}
    return ", ".join(f"{value:g} {name}" for name, value in kinds.items() if value) or "0"


def ratio_to_rest(program, asked):
    """Median of the pace while asked by that just before. Too short to tell: a dash."""
    ratios = [program.pace(begin, end) / program.pace(begin - REST_SECONDS, begin)
              for begin, end in asked if end - begin > 0.05]
    return f"{median(ratios):.2f}" if ratios else "-"


def ask_often(program, path, times):
    """The cells of a row behind its name."""
    asked = []
    for _ in range(times + 1):
        time.sleep(REST_SECONDS)  # more than one look serves for
        begin = time.monotonic()
        size = len(get(program.url + path))
        asked.append((begin, time.monotonic()))
    program.wait_for_words()
    first, *others = [(end - begin) * 1000 for begin, end in asked]
    return [f"{size / 1024:.0f}", f"{first:.1f}", f"{median(others):.1f}", f"{max(others):.1f}",
            ratio_to_rest(program, asked), program.longest_pause_us(asked),
            program.longest_pause_us([(begin - REST_SECONDS, begin) for begin, _ in asked])]


def measure_answers(bench):
    times = 3 if bench.is_quick else 10
    rows = []
    crowds = [
        (LIVE_SITES, 0, ["/debug/pprof/heap", "/debug/pprof/allocs", "/debug/pprof/heap?debug=1", "/metrics"]),
        (0, THREADS, ["/debug/pprof/goroutine", "/debug/pprof/goroutine?debug=2"]),
    ]
    for sites, sleepers, paths in crowds:
        with Sites(bench, sites, sleepers) as program:
            time.sleep(1)
            for path in paths:
                bench.progress(f"requests: {path}")
                crowd = f"{sites:,} sites" if sites else f"{sleepers:,} threads"
                rows.append([path, crowd, *ask_often(program, path, times)])
    print_table(
        f"Answers, in exact mode: the first, then {times} more; goals: heap < 1,000 ms, goroutine < 300 ms",
        ["request", "on", "KiB", "first, ms", "median, ms", "max, ms", "pace / before", "longest pause, us",
         "before, us"],
        rows)


def flood(url, path, seconds):
    """wrk's count of answers, and of those that are no success."""
    command = ["wrk", "-t1", f"-c{FLOOD_CLIENTS}", f"-d{seconds}s", "--timeout", "60s", url + path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return int(re.search(r"(\d+) requests in", text)[1]), int(bad[1]) if bad else 0


def watch_metrics(program, seen, is_over):
    """Appends (moment, figures), as they were had."""
    while not is_over.wait(0.25):
        figures = metrics(program.url)
        seen.append((time.monotonic(), figures))


def flood_row(bench, path, seconds):
    with Sites(bench, LIVE_SITES, 8) as program:
        get(program.url + path)
        time.sleep(seconds / 2)
        seen = []
        is_over = threading.Event()
        watcher = threading.Thread(target=watch_metrics, args=(program, seen, is_over))
        begin = time.monotonic()
        watcher.start()
        answers, bad = flood(program.url, path, seconds)
        end = time.monotonic()
        is_over.set()
        watcher.join()
        time.sleep(seconds / 2)
        program.wait_for_words()
        made = [program.time_of(figures["leakwatch_heap_allocated_blocks_total"]) for _, figures in seen]
        ages = [(moment - then) * 1000 for (moment, _), then in zip(seen, made) if then]
        rest = (program.pace(begin - seconds / 2, begin) + program.pace(end, end + seconds / 2)) / 2
        return [path, f"{answers / (end - begin):.1f}", bad, lost(metrics(program.url)), f"{median(ages):.0f}",
                f"{max(ages):.0f}", f"{program.pace(begin, end) / rest:.2f}", program.longest_pause_us([(begin, end)])]


def measure_flood(bench):
    if not shutil.which("wrk"):
        bench.progress("requests: no flood, as wrk is not installed (apt-get install wrk)")
        return
    seconds = 3 if bench.is_quick else 10
    rows = []
    for path in ("/debug/pprof/heap", "/debug/pprof/goroutine", "/metrics"):
        bench.progress(f"requests: a flood of {path}")
        rows.append(flood_row(bench, path, seconds))
    print_table(
        f"A flood by {FLOOD_CLIENTS} clients for {seconds} s, on {LIVE_SITES:,} sites, exact mode; goal: nothing lost",
        ["request", "answers/s", "bad answers", "events lost", "figures' age, ms", "max, ms", "pace / at rest",
         "longest pause, us"],
        rows)


def measure(bench):
    measure_answers(bench)
    measure_flood(bench)
