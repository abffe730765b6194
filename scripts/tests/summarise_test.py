#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/summarise-tests: what counts as failed, and what the last line says."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "summarise-tests"
SKIPPED = "[ RUN      ] A.B\na_test.cpp:4: Skipped\nno KVM\n[  SKIPPED ] A.B (0 ms)\n"


def case(name, status="run", output="", skipped=None):
    tag = "" if skipped is None else f'<skipped message="{skipped}"/>'
    return f'<testcase name="{name}" status="{status}">{tag}<system-out>{output}</system-out></testcase>'


class Summary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.allowed = self.root / "allowed"
        self.allowed.write_text("# none\n")

    def report(self, *cases, preset="dev"):
        (self.root / f"{preset}.xml").write_text(f"<testsuite>{''.join(cases)}</testsuite>")

    def run_it(self):
        done = subprocess.run([sys.executable, PROGRAM, "--reports", self.root, "--allowed", self.allowed],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr

    def test_all_passed(self):
        self.report(case("a"), case("b"))
        code, lines, _ = self.run_it()
        self.assertEqual((code, lines[-1]), (0, "100% tests passed, 0 tests failed out of 2"))

    def test_a_failure_is_named_and_never_rounds_to_all(self):
        self.report(*[case(f"t{i}") for i in range(999)], case("bad", "fail"))
        code, lines, _ = self.run_it()
        self.assertEqual((code, lines[-1]), (1, "99% tests passed, 1 tests failed out of 1000"))
        self.assertIn("  FAILED: dev/bad", lines)

    def test_a_skip_fails_unless_it_is_allowed_with_a_reason(self):
        self.report(case("a", "notrun", SKIPPED, "SKIP_REGULAR_EXPRESSION_MATCHED"),
                    case("b", "notrun", "no X\n", "SKIP_RETURN_CODE=77"))
        code, lines, _ = self.run_it()
        self.assertEqual(code, 1)
        self.assertIn("  skipped: dev/a: no KVM  [not allowed]", lines)
        self.assertIn("  skipped: dev/b: no X  [not allowed]", lines)
        self.allowed.write_text("dev/a this machine emulates\ndev/b no display\n")
        self.assertEqual(self.run_it()[0], 0)
        self.allowed.write_text("dev/a\n")
        self.assertNotEqual(self.run_it()[0], 0)

    def test_a_skip_inside_a_program_counts(self):
        self.report(case("vm", "run", SKIPPED))
        code, lines, _ = self.run_it()
        self.assertEqual(code, 1)
        self.assertIn("  FAILED: dev/vm:A.B (skipped)", lines)

    def test_what_could_not_run_is_a_failure(self):
        self.report(case("a_NOT_BUILT", "notrun", "", "Unable to find executable"), case("b", "disabled"))
        self.allowed.write_text("* whatever\n")
        self.assertEqual(self.run_it()[0], 1)

    def test_other_stages_and_missing_reports_fail(self):
        self.assertEqual(self.run_it()[0], 1)
        self.report(case("a"))
        (self.root / "failed").write_text("clang-tidy\n")
        code, lines, _ = self.run_it()
        self.assertEqual((code, lines[-1]), (1, "50% tests passed, 1 tests failed out of 2"))


if __name__ == "__main__":
    unittest.main()
