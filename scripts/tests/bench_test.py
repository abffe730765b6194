#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/bench: how a measurement becomes a row, and how the programs' output is read."""
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchlib import measure, others, page  # noqa: E402
from benchlib.rows import AREAS, Goal, row  # noqa: E402


def measured(value, baseline=None):
    return {"a": {"value": value, "unit": "s", "baseline": baseline}}


class Rows(unittest.TestCase):
    def test_at_most_is_judged_on_value_by_baseline(self):
        goal = Goal("a", "<=", 2)
        self.assertEqual(row("x", goal, measured(3.0, 2.0))["ratio"], 1.5)
        self.assertTrue(row("x", goal, measured(4.0, 2.0))["met"])
        self.assertFalse(row("x", goal, measured(4.1, 2.0))["met"])

    def test_at_least_is_judged_on_baseline_by_value(self):
        goal = Goal("a", ">=", 500)
        self.assertEqual(row("x", goal, measured(0.2, 100.0))["ratio"], 500)
        self.assertTrue(row("x", goal, measured(0.2, 100.0))["met"])
        self.assertFalse(row("x", goal, measured(0.3, 100.0))["met"])

    def test_without_a_baseline_the_value_is_judged(self):
        found = row("x", Goal("a", "<=", 0.3), measured(0.29))
        self.assertEqual((found["ratio"], found["met"]), (None, True))

    def test_what_was_not_measured_is_not_met(self):
        self.assertFalse(row("x", Goal("b", "<=", 1), measured(0.1))["met"])

    def test_every_row_has_the_agreed_keys(self):
        keys = ["area", "name", "value", "unit", "baseline", "ratio", "goal", "met"]
        for area, goals in AREAS.items():
            for goal in goals:
                self.assertEqual(list(row(area, goal, {})), keys)


class Page(unittest.TestCase):
    PLACE = "# Speed\n<!-- scripts/bench --page: x -->\nold\n<!-- end of x -->\nbehind\n"

    def test_rows_replace_what_stands_between_the_marks(self):
        rows = [row("x", Goal("a", ">=", 500), measured(0.2, 100.0)), row("x", Goal("b", "<=", 1), {})]
        text = page.rewrite(self.PLACE, "x", rows, "Here.")
        self.assertIn("| a | 0.2 s | 100 s | 500 | ≥ 500 | met |\n| b |  |  |  | ≤ 1 | **not met** |\n", text)
        self.assertNotIn("old", text)
        self.assertTrue(text.startswith("# Speed\n") and text.endswith("<!-- end of x -->\nbehind\n"))
        self.assertEqual(page.rewrite(text, "x", rows, "Here."), text)

    def test_a_page_without_the_marks_is_refused(self):
        with self.assertRaises(page.Unmarked):
            page.rewrite(self.PLACE, "y", [], "Here.")

    def test_the_page_has_a_place_for_each_area_with_goals(self):
        text = page.PAGE.read_text()
        for area, goals in AREAS.items():
            if goals:
                page.rewrite(text, area, [], "Here.")

    def test_the_page_has_a_row_for_each_goal(self):
        text = page.PAGE.read_text()
        for area, goals in AREAS.items():
            rows = text.partition(f"<!-- scripts/bench --page: {area} -->")[2].partition(f"<!-- end of {area} -->")[0]
            names = [line.split(" | ")[0].removeprefix("| ") for line in rows.splitlines()]
            for goal in goals:
                self.assertIn(goal.name, names, f"scripts/bench --area {area} --page")


class Others(unittest.TestCase):
    def test_the_ratio_to_the_loop_beside_them_is_compared(self):
        work = others.WORK[1]
        self.assertEqual([round(r, 2) for r in work.ratios()], [13.8, 2.09, 3.92, 10.0, 4.25])
        self.assertEqual(round(work.best, 2), 2.09)
        for ours, said in ((1.5, "ahead"), (2.0, "equal"), (2.15, "equal"), (2.3, "**behind**")):
            text = others.table([{"name": work.name, "ratio": ours}])
            self.assertIn(f"| map page by page, sole | {ours:.2f} | 13.8 | 2.09 | 3.92 | 10.0 | 4.25 | {said} |", text)

    def test_what_was_not_measured_is_not_ahead(self):
        self.assertEqual(others.table([]).count("**not measured**"), len(others.WORK))

    def test_each_work_has_a_row_of_the_engine(self):
        names = {goal.name for goal in AREAS["engine"]}
        self.assertLessEqual({work.name for work in others.WORK}, names)


class Output(unittest.TestCase):
    def test_json_lines_pass_over_other_lines(self):
        found = measure.json_lines('warning\n{"name": "a", "value": 1.5, "unit": "s"}\n')
        self.assertEqual(found["a"]["value"], 1.5)

    def test_google_benchmark_pairs_medians_with_their_baselines(self):
        def bench(name, time, aggregate):
            return {"run_name": name, "real_time": time, "time_unit": "us", "aggregate_name": aggregate}
        report = {"benchmarks": [bench("a", 2.0, "median"), bench("a", 9.0, "mean"), bench("a/baseline", 4.0, "median"),
                                 bench("b", 1.0, "median")]}
        with mock.patch.object(measure, "call", return_value=json.dumps(report)):
            found = measure.google_benchmark("program")
        self.assertEqual(found, {"a": {"value": 2.0, "unit": "us", "baseline": 4.0},
                                 "b": {"value": 1.0, "unit": "us", "baseline": None}})

    def test_google_benchmark_judges_by_items_where_they_are_counted(self):
        report = {"benchmarks": [{"run_name": "a/manual_time", "real_time": 5e6, "time_unit": "ns",
                                  "items_per_second": 5e8, "aggregate_name": "median"}]}
        with mock.patch.object(measure, "call", return_value=json.dumps(report)):
            self.assertEqual(measure.google_benchmark("program"), {"a": {"value": 2.0, "unit": "ns", "baseline": None}})

    def test_a_program_that_fails_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            missing = Path(folder) / "none"
            with self.assertRaisesRegex(measure.Broken, "none"):
                measure.call(missing)
        with self.assertRaisesRegex(measure.Broken, "ended with 1"):
            measure.call("false")


if __name__ == "__main__":
    unittest.main()
