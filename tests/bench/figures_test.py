# SPDX-License-Identifier: Apache-2.0
"""What scripts/bench makes of the figures it took: quantiles, verdicts, rows. No time is taken here."""

import pathlib
import sys
import unittest
from xml.etree import ElementTree

sys.dont_write_bytecode = True

import chart  # noqa: E402 (nothing is written beside the sources)
import cost  # noqa: E402
import growth  # noqa: E402
import harness  # noqa: E402
import peers  # noqa: E402
import postgres  # noqa: E402
import servers  # noqa: E402
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
                         [self.words, "≥ 0.85", "0.860 (0.100 to 0.900)", "reached", "on a Monday"])

    def test_what_peers_reached_is_said_too(self):
        self.bench.remark("redis exact", "another 0.5")
        self.assertEqual(self.row(self.words)[3:],
                         ["not measured", "it handed nothing in; peers: another 0.5"])
        self.bench.report("redis exact", 0.9, "a note")
        self.assertEqual(self.row(self.words)[3:], ["reached", "a note; peers: another 0.5"])

    def test_a_single_figure_has_no_spread(self):
        self.bench.report("redis exact", 0.84)
        self.assertEqual(self.row(self.words)[2:], ["0.840", "missed", ""])

    def test_units(self):
        self.bench.report("memory", [2049])
        words = "resident memory added to a program of 16 threads, sampled"
        self.assertEqual(self.row(words), [words, "≤ 2,048 KiB", "2,049 KiB", "missed", ""])

    def test_without_a_figure_it_says_why(self):
        self.bench.give_up("redis exact", "there is no redis")
        self.assertEqual(self.row(self.words)[2:], ["", "not measured", "there is no redis"])

    def test_a_part_that_was_not_run(self):
        self.assertEqual(self.row(self.words, [])[3:], ["not measured", "the part cost was not run"])

    def test_a_part_that_failed(self):
        self.bench.failures["cost"] = "no such file"
        self.assertEqual(self.row(self.words)[3:], ["not measured", "the part cost ended early"])

    def test_a_part_that_forgot_it(self):
        self.assertEqual(self.row(self.words)[3:], ["not measured", "it handed nothing in"])

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

    def test_the_parts_know_their_targets(self):
        self.assertLessEqual({f"growth {name}" for name in growth.DIMENSIONS}, set(targets.BY_KEY))


class Growth(unittest.TestCase):
    @staticmethod
    def points(*costs):
        return [growth.Point(x, 10, 0, exact, 0, 0) for x, exact in costs]

    def test_flat_is_by_the_dearest(self):
        self.assertEqual(growth.flatness("live", self.points((1, 20), (10, 50), (100, 40))), 2.5)

    def test_depth_may_be_linear(self):
        self.assertEqual(growth.flatness("depth", self.points((8, 10), (16, 20), (32, 30))), 1)
        self.assertGreater(growth.flatness("depth", self.points((8, 10), (16, 21))), 1)

    def test_what_was_not_measured_to_its_end_is_not_reached(self):
        bench = harness.Bench(pathlib.Path("/"), True, 3)
        growth.report(bench, "live", self.points((1, 10), (10, 11)), "no memory")
        self.assertEqual(bench.figures, {})
        self.assertIn("no memory", bench.reasons["growth live"])
        growth.report(bench, "depth", self.points((1, 10)), "no memory")
        self.assertIn("no memory", bench.reasons["growth depth"])
        growth.report(bench, "stacks", self.points((1, 10), (10, 21)), "no memory")
        self.assertEqual(bench.figures["growth stacks"][0], [2.1])

    def test_a_cost_below_zero_is_noise_and_no_figure(self):
        bench = harness.Bench(pathlib.Path("/"), True, 3)
        growth.report(bench, "threads", self.points((1, 10), (2, -1)), "")
        self.assertIn("not quiet", bench.reasons["growth threads"])
        self.assertNotIn("growth threads", bench.figures)


def times(**modes):
    return {mode: {"": value, ", processor": value / 2} for mode, value in modes.items()}


class Costs(unittest.TestCase):
    def report(self, results):
        bench = harness.Bench(pathlib.Path("/"), True, 1)
        cost.report_targets(bench, results)
        return bench

    def test_time_by_native_time(self):
        bench = self.report({"storm-1": [times(native=100, sampled=102, exact=150, heaptrack=300)]})
        self.assertEqual(bench.figures["storm-1 sampled"], ([1.02], "processor time 1.020"))

    def test_what_is_added_by_what_heaptrack_adds(self):
        bench = self.report({"storm-1": [times(native=100, sampled=102, exact=150, heaptrack=300)]})
        self.assertEqual(bench.figures["storm-1 exact"], ([0.25], "processor time 0.250"))

    def test_without_heaptrack(self):
        bench = self.report({"storm-1": [times(native=100, sampled=102, exact=150)]})
        self.assertEqual(bench.reasons["storm-1 exact"], "heaptrack is not installed")

    def test_twice_the_time_is_half_the_throughput(self):
        bench = self.report({"redis": [times(native=100, sampled=100, exact=200)]})
        self.assertEqual(bench.figures["redis exact"], ([0.5], "processor time 2.000"))


class Peers(unittest.TestCase):
    def test_each_is_measured_against_one_that_is_there(self):
        names = {tool.name: tool for tool in peers.TOOLS}
        for tool in peers.TOOLS:
            if tool.against:
                self.assertEqual(names[tool.against].against, "")
                # Redis runs under a tool only where it does under the one that it is compared with.
                self.assertLessEqual(tool.runs_redis, names[tool.against].runs_redis)

    def test_each_runs_with_its_own_settings(self):
        bench = harness.Bench(pathlib.Path("/root-of-all"), True, 1)
        bench.work = pathlib.Path("/scratch")
        tools = {tool.name: peers.in_place(bench, tool) for tool in peers.TOOLS}
        self.assertEqual(tools["jemalloc"].wrap(bench, ["a", 1]),
                         ["env", "LD_PRELOAD=libjemalloc.so.2", "MALLOC_CONF=prof:false", "a", "1"])
        self.assertIn("HEAPPROFILE=/scratch/gperftools", tools["gperftools' heap profiler"].wrap(bench, ["a"]))
        memray = tools["memray run --native"].wrap(bench, ["storm", 2, 7])
        self.assertEqual(memray[1], "/root-of-all/build/bench/memray/bin/memray")
        self.assertEqual(memray[-3:], ["/root-of-all/build/tests/bench/storm-in-python.so", "2", "7"])

    def test_remarks_have_the_direction_of_the_target(self):
        bench = harness.Bench(pathlib.Path("/"), True, 1)
        tools = [tool for tool in peers.TOOLS if tool.name in ("native", "jemalloc", peers.SAMPLERS[0], peers.HEAPTRACK)]
        seen = [{tool.name: {"": 100 if not tool.against else 200} for tool in tools}]
        peers.remark(bench, {"storm-1": seen, "redis": seen}, tools)
        self.assertEqual(bench.remarks, {"storm-1 sampled": "jemalloc's profiler 2.000",
                                         "redis sampled": "jemalloc's profiler 0.500",
                                         "redis exact": "heaptrack's preload 0.500"})


class Answers(unittest.TestCase):
    def test_of_wrk(self):
        text = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 16 connections
  Latency Distribution
     50%  416.00us
     99%    1.20ms
  25568 requests in 1.10s, 21.60MB read
Requests/sec:  23243.64
"""
        rate, p99, requests = servers.wrk_figures(text)
        self.assertEqual((rate, requests), (23243.64, 25568))
        self.assertAlmostEqual(p99, 0.0012)

    def test_a_bad_answer_of_wrk_ends_it(self):
        with self.assertRaises(SystemExit):
            servers.wrk_figures("  Non-2xx or 3xx responses: 3\n")

    def test_of_pgbench_only_those_within_the_window_count(self):
        lines = [f"0 {number} {1000 * number} 0 {10 + number} 500000" for number in range(10)]
        count, p99 = postgres.log_figures(lines, 12.0, 15.0)  # the 2nd to the 4th
        self.assertEqual(count, 3)
        self.assertAlmostEqual(p99, 0.004)


class Charts(unittest.TestCase):
    names = {"svg": "http://www.w3.org/2000/svg"}

    def draw(self, *series, **more):
        return ElementTree.fromstring(chart.line_chart('a < b & "c"', "x", "y", series, **more))

    def test_is_well_formed(self):
        root = self.draw(("one & only", [(1, 5), (1000, 50)]), ("two", [(1, 7), (1000, 0.01)]))
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        for expected in ('a < b & "c"', "x", "y", "1", "1k", "10", "100", "one & only", "two"):
            self.assertIn(expected, words)

    def test_axes_are_logarithmic(self):
        axis = chart.Axis(1, 10_000, 0, 400)
        self.assertEqual([round(axis.place(value)) for value in (1, 10, 100, 10_000)], [0, 100, 200, 400])
        self.assertEqual(axis.ticks(), [1, 10, 100, 1000, 10_000])
        self.assertEqual([chart.Axis(1, 100, 400, 0).place(value) for value in (1, 10, 100)], [400, 200, 0])

    def test_what_is_too_low_is_drawn_hollow_at_the_edge(self):
        root = self.draw(("only", [(1, 5), (10, 50), (100, -3)]), least=0.1)
        marks = root.findall("svg:circle", self.names)
        kinds = [mark.get("class") for mark in marks if float(mark.get("cx")) > chart.LEFT + 10]
        self.assertEqual(kinds, ["mark0", "mark0", "low0"])
        self.assertEqual(float(marks[2].get("cy")), chart.HEIGHT - chart.BOTTOM)
        self.assertIn("≤ 0.1", [element.text for element in root.findall("svg:text", self.names)])

    def test_one_point_alone(self):
        self.draw(("only", [(8, 3)]))


if __name__ == "__main__":
    unittest.main()
