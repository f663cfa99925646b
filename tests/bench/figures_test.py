# SPDX-License-Identifier: Apache-2.0
"""What scripts/bench makes of the figures it took: quantiles, verdicts, rows. No time is taken here."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True

import harness  # noqa: E402 (nothing is written beside the sources)
import targets  # noqa: E402


class Quantiles(unittest.TestCase):
    def test_of_unsorted_values(self):
        values = [5, 1, 4, 2, 3]
        self.assertEqual([harness.quantile(values, part) for part in (0, 0.25, 0.5, 0.75, 1)], [1, 2, 3, 4, 5])

    def test_of_one_value(self):
        self.assertEqual(harness.median([7]), 7)


class Verdicts(unittest.TestCase):
    most = targets.Target("most", "part", "words", 1.015)
    least = targets.Target("least", "part", "words", 0.99, is_least=True)

    def test_the_limit_itself_will_do(self):
        self.assertEqual(self.most.verdict(1.015), targets.REACHED)
        self.assertEqual(self.least.verdict(0.99), targets.REACHED)

    def test_beyond_the_limit(self):
        self.assertEqual(self.most.verdict(1.0151), targets.MISSED)
        self.assertEqual(self.least.verdict(0.9899), targets.MISSED)

    def test_within_the_limit(self):
        self.assertEqual(self.most.verdict(0.9), targets.REACHED)
        self.assertEqual(self.least.verdict(1.2), targets.REACHED)


class Rows(unittest.TestCase):
    def setUp(self):
        self.bench = harness.Bench(pathlib.Path("/"), True, 3)

    def row(self, words, parts=("cost",), is_whole=True):
        return next(row for row in targets.rows_of(self.bench, parts, is_whole) if row[0] == words)

    words = "redis, throughput / native, exact"

    def test_the_median_counts(self):
        self.bench.report("redis exact", [0.1, 0.9, 0.86], "on a Monday")
        self.assertEqual(self.row(self.words),
                         [self.words, "≥ 0.85", "0.860 (0.100 to 0.900); on a Monday", "reached"])

    def test_a_single_figure_has_no_spread(self):
        self.bench.report("redis exact", 0.84)
        self.assertEqual(self.row(self.words)[2:], ["0.840", "missed"])

    def test_units(self):
        self.bench.report("memory", [2049])
        words = "resident memory added to a program of 16 threads, sampled"
        self.assertEqual(self.row(words), [words, "≤ 2,048 KiB", "2,049 KiB", "missed"])

    def test_without_a_figure_it_says_why(self):
        self.bench.give_up("redis exact", "there is no redis")
        self.assertEqual(self.row(self.words)[2:], ["", "not measured: there is no redis"])

    def test_a_part_that_was_not_run(self):
        self.assertEqual(self.row(self.words, [])[3], "not measured: the part cost was not run")

    def test_a_part_that_forgot_it(self):
        self.assertEqual(self.row(self.words)[3], "not measured: it handed nothing in")

    def test_a_run_of_some_parts_has_only_their_rows(self):
        rows = targets.rows_of(self.bench, ["instructions"], False)
        self.assertEqual([row[0] for row in rows], ["sampled, instructions added to a pair that is no sample"])

    def test_a_figure_for_no_target_is_a_mistake(self):
        self.bench.report("no such key", 1)
        with self.assertRaises(ValueError):
            targets.rows_of(self.bench, [], True)

    def test_keys_and_words_are_unique(self):
        for kind in ("key", "words"):
            seen = [getattr(target, kind) for target in targets.TARGETS]
            self.assertEqual(len(seen), len(set(seen)))

    def test_markdown(self):
        self.assertEqual(targets.as_markdown(["", "b"], [["x|y", "z"]]), "|  | b |\n| --- | --- |\n| x\\|y | z |")


if __name__ == "__main__":
    unittest.main()
