# SPDX-License-Identifier: Apache-2.0
"""what joining a program that runs, and leaving it, does to it

The goal: no thread is stopped for more than 20 ms, with 100 threads, two of which allocate without a break; and once it
is left it runs as before. The program tells itself by how much its threads were late (tests/bench/pauses.cc), so the
figures count whatever held them up: also what the machine does otherwise, which is the column "at rest". Beside it
heaptrack -p, where that and gdb are installed. Then for how long a thread is stopped by ptrace, and how long it is away
in the call that it is made to do (tests/bench/joins.cc).
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from harness import median, print_table

RUNNING, SLEEPING = 2, 98


class Pauses:
    """tests/bench/pauses.cc, with what it says. A context: it is ended with it."""

    def __init__(self, bench):
        self._command = [str(bench.program("pauses")), str(RUNNING), str(SLEEPING)]
        self.points = []  # (time, blocks so far, longest pause in us)

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        threading.Thread(target=self._read, daemon=True).start()
        time.sleep(1)  # the threads have begun
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def _read(self):
        for line in self._process.stdout:
            blocks, longest = line.split()
            self.points.append((time.monotonic(), int(blocks), int(longest)))

    def is_alive(self):
        return self._process.poll() is None

    def phase(self, seconds):
        """Lets time pass; when that was."""
        begin = time.monotonic()
        time.sleep(seconds)
        return begin, time.monotonic()

    def _within(self, window):
        # A line tells of the 20 ms before it, and comes late when the program is held up.
        while self.points[-1][0] < window[1] and self.is_alive():
            time.sleep(0.01)
        begin = [point for point in self.points if point[0] <= window[0]][-1:]
        end = [point for point in self.points if point[0] > window[1]][:1]
        return begin + [point for point in self.points if window[0] < point[0] <= window[1]] + end

    def longest_pause(self, window):
        """As a cell, in ms."""
        return f"{max(longest for _, _, longest in self._within(window)[1:]) / 1000:.1f}"

    def pace(self, window):
        """Blocks a second."""
        points = self._within(window)
        return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])


def wait_for_words(process, words, lines):
    """Reads until a line has one of them, and on in the background; False when it ended without."""
    for line in process.stdout:
        lines.append(line)
        if re.search(words, line):
            threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()
            return True
    return False


def end_group(tool):
    """heaptrack is a script, and leaves a part of itself behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(tool.pid, signal.SIGKILL)


def measure_tool(bench, command, words):
    """The cells of a row; None when the tool could not do it."""
    seconds = 1 if bench.is_quick else 3
    with Pauses(bench) as program:
        rest = program.phase(seconds)
        begin = time.monotonic()
        tool = subprocess.Popen(command(program.pid), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                cwd=bench.work, start_new_session=True)
        guard = threading.Timer(60, os.killpg, (tool.pid, signal.SIGKILL))
        guard.start()
        lines = []
        if not wait_for_words(tool, words, lines):
            guard.cancel()
            end_group(tool)
            bench.progress(f"attach: {tool.args[0]} did not join: {''.join(lines[-3:])}")
            return None
        joined = time.monotonic()
        time.sleep(0.3)
        joining = (begin, time.monotonic())
        watched = program.phase(seconds)
        begin = time.monotonic()
        tool.send_signal(signal.SIGINT)
        tool.wait()
        guard.cancel()
        end_group(tool)
        time.sleep(0.3)
        leaving = (begin, time.monotonic())
        if not program.is_alive():
            return [f"{(joined - joining[0]) * 1000:.0f}", *["the program died"] * 7]
        after = program.phase(seconds)
        pace = program.pace(rest)
        return [f"{(joined - joining[0]) * 1000:.0f}",
                *[program.longest_pause(window) for window in (rest, joining, watched, leaving, after)],
                f"{program.pace(watched) / pace:.3f}", f"{program.pace(after) / pace:.3f}"]


def leakwatch(bench, *options):
    folders = iter(range(1000))
    return lambda pid: [str(bench.leakwatch), "attach", *options, "-o", str(bench.work / f"join.{pid}.{next(folders)}"),
                        str(pid)]


def middle(rows):
    """Of each column; of the pauses, the worst is what counts."""
    columns = list(zip(*rows))
    if any("died" in cell for row in rows for cell in row):
        return next(row for row in rows if any("died" in cell for cell in row))
    worst = [f"{max(map(float, column)):.1f}" for column in columns[1:6]]
    return [f"{median(list(map(float, columns[0]))):.0f}", *worst,
            *[f"{median(list(map(float, column))):.3f}" for column in columns[6:]]]


def measure_pauses(bench):
    tools = [("leakwatch attach", leakwatch(bench), "watching"),
             ("leakwatch attach --exact", leakwatch(bench, "--exact"), "watching")]
    if shutil.which("heaptrack") and shutil.which("gdb"):
        heaptrack = ["heaptrack", "-r", "-p"]
        tools.append(("heaptrack -p", lambda pid: [*heaptrack, str(pid)], "injection finished"))
    else:
        bench.progress("attach: no heaptrack -p beside it, as heaptrack and gdb are not both installed "
                       "(apt-get install heaptrack gdb)")
    rows = []
    for name, command, words in tools:
        bench.progress(f"attach: {name}")
        times = min(bench.rounds, 5)
        measured = [row for row in (measure_tool(bench, command, words) for _ in range(times)) if row]
        rows.append([name, times, *(middle(measured) if measured else ["did not join"] + ["-"] * 7)])
    print_table(
        f"Longest time that any of {RUNNING + SLEEPING} threads was late, in ms, the worst of the rounds; goal: hardly "
        "more than at rest; and the pace of those that allocate",
        ["tool", "rounds", "joined after, ms", "at rest", "joining", "joined", "leaving", "after",
         "pace joined / before", "after / before"],
        rows)


def measure_stops(bench):
    calls = 20 if bench.is_quick else 200
    bench.progress("attach: stops")
    with Pauses(bench) as program:
        tool = subprocess.Popen(leakwatch(bench)(program.pid), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)
        wait_for_words(tool, "watching", [])
        command = [bench.program("joins"), str(program.pid), str(calls)]
        seen = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        tool.send_signal(signal.SIGINT)
        tool.wait()
    print_table(
        f"One thread that is made to call, of {RUNNING + SLEEPING}, in us, in {calls} looks at the modules; goal < 20,000",
        ["", "median", "max"],
        [["stopped by ptrace", f"{seen['stop_median']:.0f}", f"{seen['stop_max']:.0f}"],
         ["away in the call", f"{seen['look_median']:.0f}", f"{seen['look_max']:.0f}"],
         ["away to begin the session", f"{seen['beginning']:.0f}", "-"],
         ["threads stopped for a call", f"{seen['attempts'] / calls:.2f}", "-"]])


def measure(bench):
    measure_pauses(bench)
    measure_stops(bench)
