# SPDX-License-Identifier: Apache-2.0
"""how many events a second leakwatch reads, what a live block takes, and how long a snapshot takes

All in exact mode, in processor time of the thread that reads, over events that tests/bench/reader.cc makes up: blocks
that are allocated and freed at random, by 2,500 stacks, and written into the rings of several threads so that no two
events of one thread follow each other. Memory is that of the whole process for each live block, at the worst moment
while their number doubles.
"""

import json
import subprocess

from harness import median, print_table, quantile

# Live blocks, rings.
LOADS = [(1_000, 4), (1_000_000, 4), (1_000_000, 1), (1_000_000, 64), (10_000_000, 4)]
TARGET_LOAD = (1_000_000, 4)
SNAPSHOT = (1_000_000, 20_000)

LEAST_EVENTS = 25e6
MOST_BYTES = 40
MOST_PAUSE_MS = 10
MOST_SNAPSHOT_MS = 300


def run(bench, *words):
    bench.progress("reader " + " ".join(str(word) for word in words))
    command = [bench.program("reader"), *[str(word) for word in words]]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def verdict(is_reached):
    return "reached" if is_reached else "missed"


def with_spread(values, form):
    middle = f" ({form.format(quantile(values, 0.25))} to {form.format(quantile(values, 0.75))})"
    return form.format(median(values)) + (middle if len(values) > 1 else "")


def rate_rows(bench, rounds):
    rows = []
    for live, rings in LOADS:
        rates = []
        for _ in range(rounds):
            seen = run(bench, "rate", live, rings, 2_000_000 if bench.is_quick else 8_000_000)
            rates.append(seen["events"] / seen["seconds"])
        is_target = (live, rings) == TARGET_LOAD
        rows.append([f"events a second, {live:,} live blocks, {rings} rings", "≥ 25 M" if is_target else "",
                     with_spread([rate / 1e6 for rate in rates], "{:.1f}") + " M",
                     verdict(median(rates) >= LEAST_EVENTS) if is_target else ""])
        if is_target:
            bench.report("reader events", rates)
    return rows


def measure(bench):
    rounds = 1 if bench.is_quick else 5
    rows = rate_rows(bench, rounds)
    grown = [run(bench, "growth", 2_000_000, 4) for _ in range(rounds)]
    most = [seen["most"] for seen in grown]
    rows.append(["bytes of a live block, 1 to 2 million, worst", f"≤ {MOST_BYTES}", with_spread(most, "{:.1f}"),
                 verdict(median(most) <= MOST_BYTES)])
    bench.report("reader bytes", most)
    passes = [seen["longest_pass"] * 1000 for seen in grown]
    rows.append(["longest pass of the draining meanwhile, ms", f"≤ {MOST_PAUSE_MS}", with_spread(passes, "{:.2f}"),
                 verdict(median(passes) <= MOST_PAUSE_MS)])
    seen = [run(bench, "snapshot", *SNAPSHOT) for _ in range(rounds)]
    pauses = [each["pause"] * 1000 for each in seen]
    rows.append(["pause of the draining for a snapshot, ms", f"≤ {MOST_PAUSE_MS}", with_spread(pauses, "{:.2f}"),
                 verdict(median(pauses) <= MOST_PAUSE_MS)])
    bench.report("reader pause", [max(each) for each in zip(passes, pauses)])
    times = [(each["copy"] + each["profile"] + each["gzip"]) * 1000 for each in seen]
    rows.append([f"snapshot, profile and gzip, ms, {seen[0]['samples']:,} samples", f"≤ {MOST_SNAPSHOT_MS}",
                 with_spread(times, "{:.0f}"), verdict(median(times) <= MOST_SNAPSHOT_MS)])
    bench.report("snapshot", times)
    print_table("The reader, exact mode", ["", "target", "median (middle half)", "verdict"], rows)
