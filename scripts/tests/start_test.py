#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/start on a real VM: it shows the tour, and leaves nothing behind, whichever way it ends.

MORSEL_BUILD names the build folder; everything is built there.
"""
from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from x_server import LEGENDS_CHIP, XServer, pixels_of, wait_until  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
START = ROOT / "scripts" / "start"
BUILD = Path(os.environ.get("MORSEL_BUILD", ROOT / "build" / "dev"))
MORSELCTL = BUILD / "bin" / "morselctl"
HANG_GUARD = 300  # seconds
END_GUARD = 60
STALE = "#E5A905"  # an entry in this state, in the light theme


def vms() -> dict[str, Any]:
    done = subprocess.run([MORSELCTL, "--json", "vm", "list"], capture_output=True, text=True, check=True,
                          timeout=HANG_GUARD)
    return {vm["name"]: vm for vm in json.loads(done.stdout)["vms"]}


def ends(process: int) -> bool:
    return bool(select.select([process], [], [], END_GUARD)[0])


class StartTest(unittest.TestCase):
    def setUp(self) -> None:
        self.assertNotIn("tour", vms(), "a VM of that name runs already: its user may still need it")

    def opened(self, *processes: int) -> list[int]:
        """Of processes that are to end: descriptors, which stay the same process' when it has ended."""
        descriptors = [os.pidfd_open(process) for process in processes]
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        return descriptors


class WithoutADisplay(StartTest):
    def draw(self, *words: str) -> str:
        """Draws tour.png, in which the tour's stale entry is to be seen; answers what was told."""
        picture = ROOT / "tour.png"
        picture.unlink(missing_ok=True)
        done = subprocess.run([START, *words], capture_output=True, text=True, check=False, timeout=HANG_GUARD,
                              env=dict(os.environ, DISPLAY="", WAYLAND_DISPLAY=""))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(pixels_of(STALE, picture), LEGENDS_CHIP)
        return done.stdout

    def test_shows_the_tour_and_draws_the_window(self) -> None:
        self.assertIn("stale", self.draw())
        self.assertNotIn("tour", vms())

    def test_embedded_needs_no_vm(self) -> None:
        before = vms()
        told = self.draw("--embedded", "--no-window")
        self.assertIn("facts of the tour hold on the embedded machine", told)
        self.assertNotIn("domain morsel-", told)
        self.assertEqual(vms(), before)

    def test_leaves_nothing_when_it_is_killed(self) -> None:
        with subprocess.Popen([START, "--no-window"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as start:
            assert start.stdout is not None
            told = ""
            for line in start.stdout:
                told += line
                if "domain morsel-tour" in line:
                    break
            # Else it might have come to its end, and ended the VM, before the list is here.
            start.send_signal(signal.SIGSTOP)
            vm = vms().get("tour")
            self.assertIsNotNone(vm, told)
            assert vm is not None
            self.addCleanup(subprocess.call, [MORSELCTL, "vm", "down", "tour"], stderr=subprocess.DEVNULL)
            processes = self.opened(vm["holder_pid"], vm["machine_pid"])
            start.send_signal(signal.SIGKILL)
            start.stdout.read()  # its end: nobody who could write there is left
        for process in processes:
            self.assertTrue(ends(process))
        self.assertNotIn("tour", vms())


class WithADisplay(StartTest):
    """Without a window manager: what a user does by the mouse, keys and signals do here."""

    def setUp(self) -> None:
        super().setUp()
        self.server = XServer()
        self.addCleanup(self.server.close)

    def open(self) -> tuple[subprocess.Popen[bytes], str, list[int]]:
        """The script, its window, and the processes that are to end with it."""
        start = subprocess.Popen([START], env=self.server.environment, stdout=subprocess.DEVNULL)
        # For a test that has failed: killed, it ends all else.
        self.addCleanup(start.wait, HANG_GUARD)
        self.addCleanup(start.kill)
        window = self.server.window("^tour .* tour .*Morselscope$", start)
        vm = vms()["tour"]
        return start, window, self.opened(vm["holder_pid"], vm["machine_pid"], self.server.process(window))

    def assert_nothing_is_left(self, processes: list[int]) -> None:
        for process in processes:
            self.assertTrue(ends(process))
        self.assertNotIn("tour", vms())

    def do_in_the_vm(self, *words: str) -> None:
        done = subprocess.run([MORSELCTL, "--vm", "tour", *words], capture_output=True, text=True, check=False,
                              timeout=HANG_GUARD)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_opens_the_window_live_from_the_vm(self) -> None:
        start, window, processes = self.open()
        self.assertTrue(wait_until(lambda: self.server.pixels_of(STALE, window) > LEGENDS_CHIP))
        # What others do in the guest is seen: the stale entry goes, only the legend's chip stays; another one comes.
        self.do_in_the_vm("object", "populate", "tour", "0..4K")
        self.assertTrue(wait_until(lambda: 0 < self.server.pixels_of(STALE, window) <= LEGENDS_CHIP))
        self.do_in_the_vm("inject", "preset", "lost-invalidation", "tour", "1", ";", "object", "unmap", "tour",
                          "12K..16K")
        self.assertTrue(wait_until(lambda: self.server.pixels_of(STALE, window) > LEGENDS_CHIP))
        self.server.keep_picture(window, BUILD / "pictures" / "start-x.png")

        self.server.press(window, "ctrl+q")
        self.assertEqual(start.wait(END_GUARD), 0)
        self.assert_nothing_is_left(processes)

    def ends_by(self, number: signal.Signals) -> None:
        start, _, processes = self.open()
        start.send_signal(number)
        self.assertEqual(start.wait(END_GUARD), 128 + number)
        self.assert_nothing_is_left(processes)

    def test_ends_by_an_interrupt_while_the_window_is_open(self) -> None:
        self.ends_by(signal.SIGINT)

    def test_ends_by_sigterm_while_the_window_is_open(self) -> None:
        self.ends_by(signal.SIGTERM)

    def test_ends_by_a_hangup_while_the_window_is_open(self) -> None:
        self.ends_by(signal.SIGHUP)


if __name__ == "__main__":
    unittest.main()
