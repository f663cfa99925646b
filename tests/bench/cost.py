# SPDX-License-Identifier: Apache-2.0
"""time of a load with and without us, as ratios

storm-N: tests/bench/storm.cc on N threads, time of an iteration (20 to 26 frames, 2,500 stacks, 2.5 events an
    iteration); where it is installed, also under heaptrack's preload, with its output thrown away. In short turns
    (turns.py).
redis: where it is installed, under redis-benchmark with 50 clients and a pipeline of 16, time of a request. In turns.
threads-N: tests/bench/threads.cc with N makers, time to create and join a thread.

Forwarded: with a preloaded object that only goes on to the next function (tests/bench/forward.cc); the storms and redis
    alone. What leakwatch costs beyond it is its own work.
Asleep: started with our object preloaded, and no leakwatch.

The lines with "processor" are the program's own processor time: not what a user waits for, but hardly changed by others
who are busy on the same machine.
"""

import redis
import turns
from harness import FORWARDED, HEAPTRACK, HEAPTRACK_PRELOAD, MODES, both_times, median, print_table, spread

# What the time that exact mode adds to an iteration of a storm may be of what heaptrack adds.
GOALS = {"storm-1": 0.15, "storm-2": 0.08}


def two_times(text):
    return both_times(*map(float, text.split()))


def run_threads(makers):
    return lambda bench, mode: two_times(bench.output(mode, [bench.program("threads"), makers, 20_000]))


LOADS = {f"threads-{makers}": run_threads(makers) for makers in (1, 8)}


def ratios(rounds, kind, mode):
    return spread([measured[mode][kind] / measured["native"][kind] for measured in rounds])


def rows_against_heaptrack(name, rounds):
    for kind in rounds[0]["native"]:
        added = {mode: [measured[mode][kind] - measured["native"][kind] for measured in rounds]
                 for mode in ("exact", HEAPTRACK)}
        shares = [ours / theirs for ours, theirs in zip(added["exact"], added[HEAPTRACK])]
        yield [name + kind, f"{median(added['exact']):.0f}", f"{median(added[HEAPTRACK]):.0f}", spread(shares),
               GOALS[name]]


COLUMNS = (FORWARDED, *MODES[1:])


def modes_of(name):
    return (*MODES, FORWARDED, *([HEAPTRACK] if name in GOALS and HEAPTRACK_PRELOAD.exists() else []))


def print_against_heaptrack(results):
    if not HEAPTRACK_PRELOAD.exists():
        print("\nNot measured against heaptrack: it is not installed")
        return
    print_table(
        "Time that exact mode adds to an iteration, by what heaptrack's preload adds to it",
        ["load", "exact adds, ns", "heaptrack adds, ns", "exact / heaptrack", "goal, at most"],
        [row for name in GOALS for row in rows_against_heaptrack(name, results[name])])


def report_targets(bench, results):
    for name, rounds in results.items():
        if name in GOALS:
            ratio, processor = ([measured["sampled"][kind] / measured["native"][kind] for measured in rounds]
                                for kind in ("", ", processor"))
            bench.report(f"{name} sampled", ratio, f"processor time {median(processor):.3f}")
            if HEAPTRACK in rounds[0]:
                share, processor = ([added(measured, "exact", kind) / added(measured, HEAPTRACK, kind)
                                     for measured in rounds] for kind in ("", ", processor"))
                bench.report(f"{name} exact", share, f"processor time {median(processor):.3f}")
            else:
                bench.give_up(f"{name} exact", "heaptrack is not installed")
    for mode in ("sampled", "exact"):
        if "redis" in results:
            throughput, processor = ([measured["native"][kind] / measured[mode][kind] for measured in results["redis"]]
                                     for kind in ("", ", processor"))
            bench.report(f"redis {mode}", throughput, f"processor time {1 / median(processor):.3f}")
        else:
            bench.give_up(f"redis {mode}", redis.why_not())


def added(measured, mode, kind):
    return measured[mode][kind] - measured["native"][kind]


def rows_of(name, rounds):
    for kind in rounds[0]["native"]:
        native = median([measured["native"][kind] for measured in rounds])
        yield [name + kind, f"{native:.1f}", *(ratios(rounds, kind, mode) if mode in rounds[0] else "" for mode in COLUMNS)]


def measure(bench):
    results = {}
    for threads in (1, 2):
        name = f"storm-{threads}"
        results[name] = turns.rounds(bench, f"cost: {name}", modes_of(name),
                                     lambda mode, threads=threads: turns.Storm(bench, mode, threads))
    if not redis.why_not():
        results["redis"] = turns.rounds(bench, "cost: redis", modes_of("redis"), lambda mode: turns.Redis(bench, mode))
    results |= {name: [] for name in LOADS}
    for number in range(bench.rounds):
        bench.progress(f"cost: threads, round {number + 1} of {bench.rounds}")
        for name, run in LOADS.items():
            first = number % len(MODES)  # no mode has the first turn each time
            order = MODES[first:] + MODES[:first]
            results[name].append({mode: run(bench, mode) for mode in order})
    print_table(
        f"Time of a load, by its native time: median of the rounds (middle half of them), {bench.rounds} in all",
        ["load", "native, ns", *(f"{mode} / native" for mode in COLUMNS)],
        [row for name, rounds in results.items() for row in rows_of(name, rounds)])
    print_against_heaptrack(results)
    report_targets(bench, results)
