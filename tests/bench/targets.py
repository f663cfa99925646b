# SPDX-License-Identifier: Apache-2.0
"""The figures to reach, in one list, and whether a run reached them.

The parts of scripts/bench hand their figures in under these keys (Bench.report), or why there is none (Bench.give_up).
A figure of several rounds counts by its median; their middle half is shown beside it.
"""

import dataclasses

from harness import median, quantile

REACHED, MISSED, NOT_MEASURED = "reached", "missed", "not measured"


@dataclasses.dataclass(frozen=True)
class Target:
    key: str
    part: str  # of scripts/bench, that measures it
    words: str
    limit: float
    unit: str = ""
    decimals: int = 3
    is_least: bool = False  # the limit is the least that will do, not the most

    def limit_words(self):
        return f"{'≥' if self.is_least else '≤'} {number(self.limit)}{unit_words(self.unit)}"

    def verdict(self, value):
        return REACHED if (value >= self.limit if self.is_least else value <= self.limit) else MISSED


TARGETS = (
    Target("storm-1 sampled", "cost", "sampled, a storm of allocations on 1 thread, time / native", 1.015),
    Target("storm-2 sampled", "cost", "sampled, a storm of allocations on 2 threads, time / native", 1.015),
    Target("instructions", "instructions", "sampled, instructions added to a pair that is no sample", 20, decimals=1),
    Target("storm-1 exact", "cost", "exact, time added to the storm / what heaptrack adds, 1 thread", 0.15),
    Target("storm-2 exact", "cost", "exact, time added to the storm / what heaptrack adds, 2 threads", 0.08),
    Target("frame", "frames", "exact, finding a stack's id, a frame", 1.5, "ns", 2),
    Target("redis sampled", "cost", "redis, throughput / native, sampled", 0.99, is_least=True),
    Target("redis exact", "cost", "redis, throughput / native, exact", 0.85, is_least=True),
    Target("nginx sampled", "servers", "nginx, throughput / native, sampled", 0.99, is_least=True),
    Target("nginx sampled p99", "servers", "nginx, 99th percentile of latency / native, sampled", 1.02),
    Target("nginx exact", "servers", "nginx, throughput / native, exact", 0.90, is_least=True),
    Target("pgbench -S sampled", "servers", "postgres (pgbench -S), throughput / native, sampled", 0.99, is_least=True),
    Target("pgbench -S sampled p99", "servers", "postgres (pgbench -S), 99th percentile / native, sampled", 1.02),
    Target("pgbench -S exact", "servers", "postgres (pgbench -S), throughput / native, exact", 0.90, is_least=True),
    Target("pgbench sampled", "servers", "postgres (pgbench), throughput / native, sampled", 0.99, is_least=True),
    Target("pgbench sampled p99", "servers", "postgres (pgbench), 99th percentile / native, sampled", 1.02),
    Target("pgbench exact", "servers", "postgres (pgbench), throughput / native, exact", 0.90, is_least=True),
    Target("reader events", "reader", "reader, events a second on one core, 1 million live blocks", 25e6, is_least=True,
           decimals=0),
    Target("reader bytes", "reader", "reader, memory of a live block, exact", 40, "bytes", 1),
    Target("snapshot", "reader", "snapshot of 1 million live blocks and 20,000 stacks", 300, "ms", 0),
    Target("reader pause", "reader", "longest pause of the reader meanwhile", 10, "ms", 1),
    Target("memory", "memory", "resident memory added to a program of 16 threads, sampled", 2048, "KiB", 0),
    # What is flat needs a bound to be judged: these are ours.
    Target("growth threads", "growth", "exact, dearest / cheapest event, 1 to 64 threads", 2, decimals=2),
    Target("growth live", "growth", "exact, dearest / cheapest event, 1,000 to 100 million live blocks", 2, decimals=2),
    Target("growth stacks", "growth", "exact, dearest / cheapest event, 10 to 1 million stacks", 2, decimals=2),
    Target("growth depth", "growth", "exact, 8 to 512 frames, steepest step: growth of an event's cost / of frames", 1,
           decimals=2),
)

BY_KEY = {target.key: target for target in TARGETS}


def number(value, decimals=None):
    if decimals is None:
        return f"{value:,.0f}" if value == int(value) else f"{value:g}"
    return f"{value:,.{decimals}f}"


def unit_words(unit):
    return f" {unit}" if unit else ""


def figure_words(target, values):
    """The median, and of several rounds their middle half."""
    words = number(median(values), target.decimals)
    if len(values) > 1:
        ends = (number(quantile(values, part), target.decimals) for part in (0.25, 0.75))
        words += f" ({' to '.join(ends)})"
    return words + unit_words(target.unit)


def why_not(target, bench, parts):
    if target.key in bench.reasons:
        return bench.reasons[target.key]
    if target.part in bench.failures:
        return f"the part {target.part} ended early"
    return "it handed nothing in" if target.part in parts else f"the part {target.part} was not run"


def row_of(target, bench, parts):
    """What, target, figure, verdict, notes: as cells."""
    peers = bench.remarks.get(target.key)
    notes = [f"peers: {peers}"] if peers else []
    if target.key in bench.figures:
        values, note = bench.figures[target.key]
        notes[:0] = [note] if note else []
        figure, verdict = figure_words(target, values), target.verdict(median(values))
    else:
        notes[:0] = [why_not(target, bench, parts)]
        figure, verdict = "", NOT_MEASURED
    return [target.words, target.limit_words(), figure, verdict, "; ".join(notes)]


HEAD = ["", "target", "median (middle half of the rounds)", "verdict", ""]


def rows_of(bench, parts, is_whole):
    """Of a run of these parts; the targets of other parts are only missed when it was to measure the whole."""
    unknown = [key for key in (*bench.figures, *bench.reasons, *bench.remarks) if key not in BY_KEY]
    if unknown:
        raise ValueError(f"there is no target {unknown[0]!r} in tests/bench/targets.py")
    return [row_of(target, bench, parts) for target in TARGETS
            if is_whole or target.part in parts]


def as_markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
