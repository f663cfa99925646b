# SPDX-License-Identifier: Apache-2.0
"""instructions added to a malloc and a free that are not sampled

Counted by valgrind's callgrind over tests/bench/pairs.cc, so the same on a busy machine: the difference between a long
and a short run, by the number of pairs between them.
"""

import re
import shutil
import subprocess

from harness import print_table

GOAL = 20
SHORT, LONG = 1_000, 101_000


def count(bench, mode, options, pairs):
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={bench.work}/callgrind"]
    command = bench.watched(mode, [*callgrind, bench.program("pairs"), pairs], options)
    text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return int(re.search(r"Collected : (\d+)", text)[1])


def per_pair(bench, mode, options=()):
    return (count(bench, mode, options, LONG) - count(bench, mode, options, SHORT)) / (LONG - SHORT)


def measure(bench):
    if not shutil.which("valgrind"):
        print("\nInstructions are not counted: valgrind is not installed")
        bench.give_up("instructions", "valgrind is not installed")
        return
    bench.progress("instructions")
    native = per_pair(bench, "native")
    rows = [["without us", f"{native:.1f}", ""]]
    asleep = per_pair(bench, "asleep")
    rows.append(["asleep", f"{asleep:.1f}", f"{asleep - native:.1f}"])
    # So far apart that none of the pairs is a sample.
    sampled = per_pair(bench, "sampled", ["--sample-interval", "1GiB"])
    rows.append(["sampled, but not this pair", f"{sampled:.1f}", f"{sampled - native:.1f}"])
    bench.report("instructions", sampled - native)
    exact = per_pair(bench, "exact")
    rows.append(["exact", f"{exact:.1f}", f"{exact - native:.1f}"])
    print_table(f"Instructions of a malloc and its free; goal: not sampled, at most {GOAL} added",
                ["", "all", "added"], rows)
