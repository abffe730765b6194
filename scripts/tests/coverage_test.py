#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/coverage: how counts are added up, and which explanations it accepts."""
import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from collections import defaultdict
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "coverage"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("coverage", str(PROGRAM))
coverage = importlib.util.module_from_spec(importlib.util.spec_from_loader("coverage", loader))
loader.exec_module(coverage)

SOURCE = "int f(int a)\n{\n  if (a) return 1;\n  return  0;\n}\nvoid g()\n{\n  return 0;\n}\n"


class Coverage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "engine").mkdir()
        (self.root / "engine/f.hpp").write_text(SOURCE)
        self.sources = coverage.Sources(self.root)

    def explanations(self, text):
        (self.root / "exceptions").write_text(text)
        return coverage.read_explanations(self.root / "exceptions", "exceptions")

    def explain(self, text, lines):
        found, mistakes = self.explanations(text)
        self.assertEqual(mistakes, [])
        return coverage.explain({"engine/f.hpp": lines}, found, self.sources)

    def test_one_instantiation_that_ran_covers_the_line(self):
        counts = defaultdict(lambda: defaultdict(int))
        lines = [{"line_number": 3, "count": 0}, {"line_number": 3, "count": 2}, {"line_number": 4, "count": 0},
                 {"line_number": 5, "count": 0}]
        files = [{"file": name, "lines": lines}
                 for name in ("engine/f.hpp", "engine/tests/f_test.cpp", "engine/bench/b.cpp", "/usr/include/c.h")]
        for _ in range(2):
            coverage.add_counts(counts, {"current_working_directory": str(self.root), "files": files}, self.sources)
        self.assertEqual({path: dict(lines) for path, lines in counts.items()}, {"engine/f.hpp": {3: 4, 4: 0}})

    def test_the_lines_of_a_statement_count_together(self):
        (self.root / "engine/f.hpp").write_text("f(a,\n  {1,\n  g()});\nif (b)\n  h();\n")
        for one, three in ((2, 0), (0, 2)):
            counts = {"engine/f.hpp": {1: one, 2: 0, 3: three, 4: 1, 5: 0}}
            coverage.count_statements(counts, self.sources)
            self.assertEqual(counts, {"engine/f.hpp": {1: 2, 2: 2, 3: 2, 4: 1, 5: 0}})

    def test_an_uncovered_line_needs_an_explanation(self):
        reasons, mistakes = self.explain("", {3: 1, 4: 0})
        self.assertEqual(mistakes, ["engine/f.hpp:4: not covered, not explained: return 0;"])
        reasons, mistakes = self.explain("nobody asks\n  engine/f.hpp: return 0;\n", {3: 1, 4: 0})
        self.assertEqual((reasons["engine/f.hpp"], mistakes), ({4: "nobody asks"}, []))

    def test_an_explanation_holds_for_the_whole_statement(self):
        (self.root / "engine/f.hpp").write_text("return f(a,\n  b,\n  c);\nh();\n")
        _, mistakes = self.explain("nobody asks\n  engine/f.hpp: return f(a,\n", {1: 0, 2: 0, 3: 0, 4: 0})
        self.assertEqual(mistakes, ["engine/f.hpp:4: not covered, not explained: h();"])

    def test_an_explanation_of_a_function_holds_for_its_lines(self):
        _, mistakes = self.explain("nobody asks\n  engine/f.hpp: int f(int a) {...}\n", {1: 0, 3: 0, 4: 0, 6: 0})
        self.assertEqual(mistakes, ["engine/f.hpp:6: not covered, not explained: void g()"])

    def test_an_explanation_of_a_covered_line_is_a_mistake(self):
        _, mistakes = self.explain("nobody asks\n  engine/f.hpp: return 0;\n", {4: 1, 8: 1})
        self.assertEqual(len(mistakes), 1)
        self.assertIn("exceptions:2: the line is covered", mistakes[0])

    def test_the_next_line_tells_equal_lines_apart(self):
        text = "nobody asks\n  engine/f.hpp: return 0; => }\n  engine/f.hpp: void g() => {\n"
        (self.root / "engine/f.hpp").write_text(SOURCE.replace("return 0;\n}", "return 0;\n  //\n}"))
        _, mistakes = self.explain(text, {4: 0, 6: 0, 8: 0})
        self.assertEqual(mistakes, ["engine/f.hpp:8: not covered, not explained: return 0;"])

    def test_an_explanation_whose_line_is_gone_is_a_mistake(self):
        found, _ = self.explanations("nobody asks\n  engine/f.hpp: return 2;\n  engine/f.hpp: } => void g()\n")
        self.assertEqual(coverage.missing_lines(found, self.sources),
                         ["exceptions:2: engine/f.hpp has no line 'return 2;'"])

    def test_the_file_of_explanations_is_well_formed(self):
        for text, mistake in (("  engine/f.hpp: }\n", "a line without a reason"),
                              ("why\n  engine/f.hpp }\n", "wanted 'engine/...: text of the line'"),
                              ("why\n  scripts/test: }\n", "wanted 'engine/...: text of the line'"),
                              ("why\nwhy else\n  engine/f.hpp: }\n", "explains nothing"),
                              ("why\n", "explains nothing")):
            mistakes = self.explanations("# head\n\n" + text)[1]
            self.assertEqual(len(mistakes), 1, text)
            self.assertIn(mistake, mistakes[0])

    def test_the_page_counts_by_folder_and_file(self):
        page = coverage.page({"engine/f.hpp": {3: 1, 4: 0}}, {"engine/f.hpp": {4: "nobody asks"}}, self.sources)
        self.assertIn("| `engine/f.hpp` | 2 | 1 | 1 | 50.0 % |\n", page)
        self.assertIn("- nobody asks\n  - `engine/f.hpp`: `return 0;`\n", page)


if __name__ == "__main__":
    unittest.main()
