#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/hardware-page: what becomes of the page's parts, and of a machine that has not run."""
import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

PROGRAM = Path(__file__).resolve().parent.parent / "hardware-page"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("hardware_page", str(PROGRAM))
hardware_page = importlib.util.module_from_spec(importlib.util.spec_from_loader("hardware_page", loader))
loader.exec_module(hardware_page)


def part(seen: str) -> str:
    table = f"| | expected | seen |\n|---|---|---|\n| a hole: read | absent | {seen} |"
    return f"\n### Entries\n\n{table}\n\n1 rows, 0 of which differ.\n"


PAGE = f"# Page\n\nHead.\n\n## by hand\n\nText.\n\n## ept, by A\n{part('absent')}\n## npt, by B\n{part('allowed')}"


class Page(unittest.TestCase):
    def test_a_part_that_was_printed_takes_the_place_of_the_old_one(self):
        page = hardware_page.written(PAGE, {"npt, by B": part("denied")})
        self.assertIn("Head.", page)
        self.assertIn("## by hand\n\nText.", page)
        self.assertIn("| a hole: read | absent | absent |", page)
        self.assertIn("| a hole: read | absent | denied |", page)
        self.assertNotIn("allowed", page)

    def test_what_differs_is_made_of_the_parts(self):
        page = hardware_page.written(PAGE, {})
        self.assertIn("| | ept | npt |\n|---|---|---|\n| a hole: read | absent | allowed |", page)
        self.assertEqual(hardware_page.written(page, {}), page)

    def test_a_part_that_is_printed_no_more_goes_when_all_have_run(self):
        page = hardware_page.written(PAGE, {"npt, by C": part("denied")}, complete=True)
        self.assertEqual(list(hardware_page.split(page)),
                         ["", "by hand", hardware_page.DIFFERENCES, "npt, by C"])


class Machines(unittest.TestCase):
    """The tests of all machines but `skipped` print a part."""

    def run_with(self, skipped: str) -> tuple[int, str, str]:
        def run(command, env=None, **_):
            test = Path(command[0]).name
            if env and test != skipped:
                (Path(env["MORSEL_HARDWARE_PARTS"]) / test).write_text(f"## by {test}\n{part('absent')}")

        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.md"
            page.write_text(PAGE)
            with mock.patch.object(hardware_page, "PAGE", page), mock.patch.object(sys, "argv", ["hardware-page"]), \
                    mock.patch.object(hardware_page.subprocess, "run", run), contextlib.redirect_stderr(said):
                result = hardware_page.main()
            return result, said.getvalue(), page.read_text()

    def test_one_that_has_not_run_is_named_and_the_old_parts_stay(self):
        result, said, page = self.run_with("testvm_vmx_test")
        self.assertEqual(result, 1)
        self.assertIn("Bochs with VMX has not run", said)
        self.assertNotIn("QEMU", said)
        self.assertIn("## ept, by A", page)
        self.assertIn("## by testvm_kmod_test", page)

    def test_all_of_them_make_the_whole_page(self):
        result, said, page = self.run_with("none")
        self.assertEqual((result, said), (0, ""))
        self.assertNotIn("## ept, by A", page)


if __name__ == "__main__":
    unittest.main()
