# SPDX-License-Identifier: Apache-2.0
"""memory that being watched adds to a program with 16 threads that allocate

The program (tests/bench/growth.cc) waits after some batches, and Linux is asked what it has resident
(/proc/PID/smaps_rollup). "Rss" counts every page that it has mapped, also those that it shares: our object's with its
file, and the memory of the session with leakwatch. That is what the target is for; the other columns are parts of it.
"""

import contextlib
import random

from growth import Program, Size
from harness import median, print_table
from processes import child_named, resident_kib

MODES = ("native", "sampled", "exact")
LOAD = Size(threads=16, live=160_000, stacks=2_500, depth=24)
FIELDS = ("Rss", "Pss", "Pss_Anon", "Pss_Shmem")


def program_of(mode, pid):
    return pid if mode == "native" else child_named(pid, "growth")


def measure_round(bench, modes):
    with contextlib.ExitStack() as stack:
        seen = {}
        for mode in modes:
            program = stack.enter_context(Program(bench, mode, LOAD, 400_000))
            for _ in range(5):
                program.run()
            seen[mode] = resident_kib(program_of(mode, program.pid), FIELDS)
        return seen


def measure(bench):
    rounds = []
    for number in range(bench.rounds):
        bench.progress(f"memory: round {number + 1} of {bench.rounds}")
        rounds.append(measure_round(bench, random.sample(MODES, len(MODES))))
    added = {mode: {field: [seen[mode][field] - seen["native"][field] for seen in rounds] for field in FIELDS}
             for mode in MODES[1:]}
    print_table(
        f"Resident memory of a program with {LOAD.threads} threads, KiB, median of {bench.rounds} rounds; goal: "
        "sampled, at most 2,048 added to Rss",
        ["", *FIELDS],
        [["native", *(f"{median([seen['native'][field] for seen in rounds]):,}" for field in FIELDS)],
         *([f"{mode} adds", *(f"{median(added[mode][field]):,}" for field in FIELDS)] for mode in MODES[1:])])
    bench.report("memory", added["sampled"]["Rss"], "Rss")
