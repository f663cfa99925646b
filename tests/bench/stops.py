# SPDX-License-Identifier: Apache-2.0
"""time that a look at all threads takes, and for how long it stops one

The goals: a stopped thread stands for less than 200 us, and a look at 1,000 threads takes less than 300 ms. Threads
that sleep are not stopped at all. Where more threads run than there are processors, a look takes as long as the
scheduler needs to come round to all of them, however short the stops are. See tests/bench/stops.cc.
"""

import json
import subprocess

from harness import print_table

# Running, sleeping, looks.
CROWDS = [(2, 0, 200), (8, 0, 100), (64, 0, 20), (0, 1000, 50), (2, 998, 50), (64, 936, 20)]


def measure(bench):
    rows = []
    for running, sleeping, looks in CROWDS:
        looks = max(5, looks // 10) if bench.is_quick else looks
        bench.progress(f"stops: {running} running, {sleeping} sleeping")
        command = [bench.program("stops"), str(running), str(sleeping), str(looks)]
        seen = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        stops, unread = seen["stops"] / looks, seen["unread"] / looks
        stop = [f"{seen['stop_' + which]:.0f}" if seen["stops"] else "-" for which in ("median", "p99", "max")]
        look = [f"{seen['look_' + which] / 1000:.1f}" for which in ("first", "median", "max")]
        rows.append([running, sleeping, looks, *look, f"{stops:g}", *stop, f"{unread:g}"])
    print_table(
        "A look at all threads; goals: a stop < 200 us, 1,000 threads < 300 ms",
        ["running", "sleeping", "looks", "first, ms", "median, ms", "max, ms", "stops a look", "stop median, us",
         "p99, us", "max, us", "unread a look"],
        rows)
