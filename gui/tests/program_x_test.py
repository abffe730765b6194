#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The program as its users have it: a window in a real X server, on the embedded machine after its tour.

MORSEL_BUILD names the build folder, where a picture of it stays: pictures/program-x.png.
"""
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts" / "tests"))

from x_server import HANG_GUARD, LEGENDS_CHIP, XServer, wait_until  # noqa: E402

BUILD = Path(os.environ.get("MORSEL_BUILD", ROOT / "build" / "dev"))
STALE = "#E5A905"


class Program(unittest.TestCase):
    def setUp(self) -> None:
        self.server = XServer()
        self.addCleanup(self.server.close)

    def open(self, *words: str) -> "subprocess.Popen[bytes]":
        program = subprocess.Popen([BUILD / "bin" / "morselscope", *words], env=self.server.environment)
        self.addCleanup(program.wait, HANG_GUARD)
        self.addCleanup(program.kill)
        return program

    def test_a_window_follows_keys_and_remembers_its_layout(self) -> None:
        program = self.open("--embedded", "--object", "tour", "--light")
        window = self.server.window("^tour .*Morselscope$", program)

        def shows_the_stale_entry() -> bool:
            return self.server.pixels_of(STALE, window) > LEGENDS_CHIP
        self.assertTrue(wait_until(shows_the_stale_entry))
        self.server.press(window, "End")
        self.assertTrue(wait_until(lambda: not shows_the_stale_entry()), "the key End does not scroll away from it")
        self.server.press(window, "F8")
        self.assertTrue(wait_until(shows_the_stale_entry), "F8 does not go to the next difference")
        self.server.keep_picture(window, BUILD / "pictures" / "program-x.png")

        self.server.press(window, "ctrl+q")
        self.assertEqual(program.wait(HANG_GUARD), 0)
        remembered = self.server.settings() / "morselscope" / "morselscope.conf"
        self.assertIn("layout=", remembered.read_text())


if __name__ == "__main__":
    unittest.main()
