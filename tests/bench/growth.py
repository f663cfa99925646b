# SPDX-License-Identifier: Apache-2.0
"""what an event costs as threads, live blocks, stacks and depth grow; with charts

A load (tests/bench/growth.cc) is made larger in one respect at a time. The figures are processor time per event, so per
malloc or free: what is added to the program's, and what leakwatch takes beside it. Others can only make such a time
longer, so each is the least of the rounds (of leakwatch's, the median). The charts are written to build/bench/.
"""

import contextlib
import dataclasses
import pathlib
import re
import subprocess

import chart
import targets
from harness import median, print_table, value_of
from processes import processor_ns

MODES = ("native", "sampled", "exact")


@dataclasses.dataclass(frozen=True)
class Size:
    threads: int = 1
    live: int = 10_000
    stacks: int = 1_000
    depth: int = 24


# 128 stacks need the 8 frames of the first one, and a million of them 21.
DIMENSIONS = {
    "threads": ("threads", [Size(threads=count) for count in (1, 2, 4, 8, 16, 32, 64)]),
    "live": ("live blocks", [Size(live=10**power) for power in range(3, 9)]),
    "stacks": ("distinct stacks", [Size(stacks=10**power) for power in range(1, 7)]),
    "depth": ("frames of a stack", [Size(depth=frames, stacks=128) for frames in (8, 16, 32, 64, 128, 256, 512)]),
}
BLIND = re.compile("stack table full|Blind since")  # in a profile's comments
# A live block with its place in the program, and what leakwatch may need for it.
PROGRAM_BYTES, READER_BYTES = 40, 70


class Program:
    """tests/bench/growth.cc in one of the modes. A context: it is ended with it."""

    def __init__(self, bench, mode, size, events):
        command = [bench.program("growth"), size.threads, size.live, size.stacks, size.depth, events]
        self._command = bench.watched(mode, command, ["--max-depth", "1024", "--interval", "1h"])
        self._is_watched = mode != "native"
        self._folder = pathlib.Path(self._command[self._command.index("-o") + 1]) if self._is_watched else None
        self._events = events
        self.costs = []  # of each batch: (the program's, leakwatch's) ns per event

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line()
        return self

    @property
    def pid(self):
        """Of leakwatch, when it is watched."""
        return self._process.pid

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def _line(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self._command} ended with {self._process.wait()}")
        return line

    def run(self):
        begin = processor_ns(self.pid) if self._is_watched else 0
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        own = float(self._line())
        reader = (processor_ns(self.pid) - begin) / self._events if self._is_watched else 0
        self.costs.append((own, reader))

    def settled(self):
        """Of the rounds but the first, which finds everything new. What leakwatch did late is in the next round, so of
        that it is the middle one."""
        own, reader = zip(*self.costs[1:])
        return min(own), median(reader)

    def lost(self, bench):
        """What was not recorded, once it has ended."""
        return bench.lost(self._folder) if self._is_watched else []


def measure_modes(bench, modes, size, events):
    """Their costs, taken in turns, and what makes no figures of them: what is not recorded costs nothing. Single events
    that were lost do not, and are said in the end."""
    with contextlib.ExitStack() as stack:
        programs = {mode: stack.enter_context(Program(bench, mode, size, events)) for mode in modes}
        for _ in range(bench.rounds + 1):
            for program in programs.values():
                program.run()
    blind = [f"{mode}: {words}" for mode, program in programs.items() for words in program.lost(bench)
             if BLIND.search(words)]
    return {mode: program.settled() for mode, program in programs.items()}, blind


def available_bytes():
    return int(value_of("/proc/meminfo", "MemAvailable").split()[0]) * 1024


def measure_size(bench, size):
    """The costs in each mode, or why there are none."""
    events = 400_000 if bench.is_quick else 2_000_000
    largest = size.live * (PROGRAM_BYTES + READER_BYTES)
    if largest > available_bytes() * 0.7:
        return {}, "this machine has not the free memory for it"
    at_once = [MODES] if largest * 2 < available_bytes() * 0.7 else [[mode] for mode in MODES]
    costs = {}
    for modes in at_once:
        measured, blind = measure_modes(bench, modes, size, events)
        costs |= measured
        if blind:
            return {}, f"it was not recorded ({blind[0]})"
    return costs, ""


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    native: float  # ns per event
    sampled: float  # added to it, as what follows
    exact: float
    sampled_reader: float
    exact_reader: float


def measure_dimension(bench, name):
    """The points as far as they go, and why they go no further."""
    points = []
    for size in DIMENSIONS[name][1]:
        x = getattr(size, name)
        if bench.is_quick and (x > 1_000_000 or size.stacks > 100_000):
            return points, f"at {x:,}: --quick goes no further"
        bench.progress(f"growth: {x:,} {DIMENSIONS[name][0]}")
        costs, why_not = measure_size(bench, size)
        if why_not:
            return points, f"at {x:,}: {why_not}"
        native, sampled, exact = (costs[mode] for mode in MODES)
        points.append(Point(x, native[0], sampled[0] - native[0], exact[0] - native[0], sampled[1], exact[1]))
    return points, ""


def write_chart(bench, name, points):
    words = DIMENSIONS[name][0]
    series = [(label, [(point.x, getattr(point, field)) for point in points])
              for label, field in (("exact, added to the program", "exact"), ("exact, leakwatch", "exact_reader"),
                                   ("sampled, added to the program", "sampled"))]
    path = bench.charts / f"growth-{name}.svg"
    path.write_text(chart.line_chart(f"Cost of an event by {words}", words, "processor time, ns per malloc or free",
                                     series))
    print(f"Chart: {path.relative_to(bench.root)}")


def flatness(name, points):
    """What is judged of a dimension."""
    if name == "depth":  # more than linear is above 1
        return max((after.exact / before.exact) / (after.x / before.x) for before, after in zip(points, points[1:]))
    costs = [point.exact for point in points]
    return max(costs) / min(costs)


def report(bench, name, points, stopped):
    key = f"growth {name}"
    if len(points) < 2:
        bench.give_up(key, f"it stopped {stopped}")
        return
    if min(point.exact for point in points) <= 0:
        bench.give_up(key, "an event cost less than without us: the machine was not quiet, or the rounds are too few")
        return
    figure = flatness(name, points)
    if not stopped or targets.BY_KEY[key].verdict(figure) == targets.MISSED:
        bench.report(key, figure, f"stopped {stopped}" if stopped else "")
    else:
        bench.give_up(key, f"{figure:.2f} up to {points[-1].x:,}; it stopped {stopped}")


def measure(bench):
    for name, (words, sizes) in DIMENSIONS.items():
        points, stopped = measure_dimension(bench, name)
        print_table(
            f"Processor time per event, ns, by {words}{'; stopped ' + stopped if stopped else ''}",
            [words, "native", "sampled adds", "exact adds", "leakwatch, sampled", "leakwatch, exact"],
            [[f"{point.x:,}", *(f"{value:.1f}" for value in dataclasses.astuple(point)[1:])] for point in points])
        if points:
            write_chart(bench, name, points)
        report(bench, name, points, stopped)
