#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The shell scripts: they parse, can be run, and refuse words that they do not know before they do anything."""
import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ["scripts/" + name for name in ("start", "test", "campaign", "install-packages", "bench", "lint", "tidy",
                                           "summarise-tests")] + [".ci/run"]


class Scripts(unittest.TestCase):
    def test_all_can_be_run(self):
        for name in PROGRAMS:
            self.assertTrue(os.access(ROOT / name, os.X_OK), name)

    def test_shell_parses(self):
        for name in PROGRAMS:
            if "bash" in (ROOT / name).read_text().splitlines()[0]:
                done = subprocess.run(["bash", "-n", ROOT / name], capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_unknown_words_are_wrong_usage(self):
        for name in ("start", "test", "campaign", "install-packages", "bench"):
            done = subprocess.run([ROOT / "scripts" / name, "--no-such-word"], capture_output=True, text=True,
                                  check=False, timeout=60)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn(f"scripts/{name}", done.stderr.replace("usage: bench", "scripts/bench"), name)


if __name__ == "__main__":
    unittest.main()
