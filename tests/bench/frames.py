# SPDX-License-Identifier: Apache-2.0
"""time to find the id of a stack that is known, as exact mode does for each allocation

Measured by tests/bench/frames.cc: the processor time that it adds to the calls which lead there, without frame pointers
and without an allocator. The fastest of many short rounds, so nearly the same on a busy machine.
"""

from harness import print_table

GOAL, GOAL_STACKS = 1.5, 2500
STACKS = (10, GOAL_STACKS, 100_000)


def row(bench, stacks):
    rounds = 20 if bench.is_quick else 200
    frames, nanoseconds = map(float, bench.output("native", [bench.program("frames"), stacks, rounds]).split())
    if stacks == GOAL_STACKS:
        bench.report("frame", nanoseconds / frames)
    goal = GOAL if stacks == GOAL_STACKS else ""
    return [f"{stacks:,}", f"{frames:.1f}", f"{nanoseconds:.1f}", f"{nanoseconds / frames:.2f}", goal]


def measure(bench):
    bench.progress("frames")
    print_table("Finding the id of a known stack, in nanoseconds",
                ["stacks", "frames", "each", "by frame", "goal, at most"], [row(bench, stacks) for stacks in STACKS])
