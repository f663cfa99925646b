# SPDX-License-Identifier: Apache-2.0
"""Programs that run in short turns, so that whatever else happens to the machine happens to all of them alike.

A run of some seconds is too long to be compared with the next one where others use the machine too, and two processes
of one program differ by what memory they happened to get. So in each round several copies of a program in each mode are
started; then each goes on for a moment while the others stand still, one after the other, again and again.
"""

import contextlib
import mmap
import os
import random
import signal
import statistics
import struct
import subprocess
import time

import redis
from harness import HEAPTRACK, both_times, end_group
from processes import child_named

# Of a turn: many times what it takes to fill the caches again, and until the scheduler has given a program and its
# reader a processor each.
SECONDS = 0.25
TURNS = 3  # of each copy
SETTLED = 300_000  # iterations after which each stack has been seen
REQUESTS = 60_000  # of each command in a turn of redis
FILLING = 100_000  # after which most keys are there
NO_PROFILES = ("--interval", "1h")  # in the middle of somebody else's turn


class Storm:
    """tests/bench/storm.cc in one of the modes, without end. A context: it is killed with it."""

    def __init__(self, bench, mode, threads):
        self._counters = bench.new_file()
        self._counters.write_bytes(bytes(mmap.PAGESIZE))
        self._threads = threads
        self._command = bench.watched(mode, [bench.program("storm"), threads, "0", self._counters],
                                      NO_PROFILES)

    def __enter__(self):
        with open(self._counters, "rb") as file:
            self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ)
        self._process = subprocess.Popen(self._command, start_new_session=True, stdout=subprocess.DEVNULL)
        while self._read()[0] < SETTLED * self._threads:
            if self._process.poll() is not None:
                raise SystemExit(f"bench: {self._command} ended with {self._process.returncode}")
            time.sleep(0.01)
        self._pid = int(child_named(self._process.pid, "storm") or self._process.pid)
        os.kill(self._pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        end_group(self._process)

    def _read(self):
        """Iterations of all threads, and the nanoseconds that they had a processor."""
        return struct.unpack_from("QQ", self._memory)

    def turn(self):
        """Nanoseconds of an iteration, and those of them that it had a processor."""
        iterations, processor = self._read()
        begin = time.monotonic_ns()
        os.kill(self._pid, signal.SIGCONT)
        time.sleep(SECONDS)
        os.kill(self._pid, signal.SIGSTOP)
        wall = time.monotonic_ns() - begin
        time.sleep(SECONDS / 20)  # until all its threads stand still
        more, later = self._read()
        done = max(more - iterations, 1)
        return wall * self._threads / done, (later - processor) / done


class Redis(redis.Server):
    """The same of redis-server; between its turns it waits for requests anyway."""

    def __init__(self, bench, mode):
        super().__init__(bench, lambda command: bench.watched(mode, command, NO_PROFILES))

    def __enter__(self):
        super().__enter__()
        self.take(FILLING)
        return self

    def turn(self):
        """Nanoseconds of a request, and those of them that it had a processor."""
        times = self.take(REQUESTS)
        time.sleep(SECONDS / 20)  # until what it left to its reader is read
        return times


def one_round(bench, modes, start):
    """Both times of each mode."""
    # Two heaptracks do not write to one file, not even to /dev/null.
    copies = {mode: 1 if mode == HEAPTRACK else 3 for mode in modes}
    times = {mode: [] for mode in modes}
    with contextlib.ExitStack() as stack:
        programs = [(mode, stack.enter_context(start(mode))) for mode in modes for _ in range(copies[mode])]
        for _ in range(1 if bench.is_quick else TURNS):
            random.shuffle(programs)
            for mode, program in programs:
                times[mode].append(program.turn())
    return {mode: both_times(*map(statistics.mean, zip(*of_mode))) for mode, of_mode in times.items()}


def rounds(bench, name, modes, start):
    """start(mode) is a program in that mode, with turns."""
    seen = []
    for number in range(bench.rounds):
        bench.progress(f"{name}: round {number + 1} of {bench.rounds}")
        seen.append(one_round(bench, modes, start))
    return seen
