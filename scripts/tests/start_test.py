#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/start on a real VM: it shows the tour, and leaves nothing behind, even when it is killed.

MORSEL_BUILD names the build folder; everything is built there.
"""
import json
import os
import select
import signal
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START = [ROOT / "scripts" / "start", "--no-window"]
MORSELCTL = Path(os.environ.get("MORSEL_BUILD", ROOT / "build" / "dev")) / "bin" / "morselctl"
HANG_GUARD = 300  # seconds
END_GUARD = 60


def vms():
    done = subprocess.run([MORSELCTL, "--json", "vm", "list"], capture_output=True, text=True, check=True,
                          timeout=HANG_GUARD)
    return {vm["name"]: vm for vm in json.loads(done.stdout)["vms"]}


def ends(process):
    return bool(select.select([process], [], [], END_GUARD)[0])


class Start(unittest.TestCase):
    def setUp(self):
        self.assertNotIn("tour", vms(), "a VM of that name runs already: its user may still need it")

    def test_shows_the_tour_and_draws_the_window(self):
        picture = ROOT / "tour.png"
        picture.unlink(missing_ok=True)
        done = subprocess.run(START, capture_output=True, text=True, check=False, timeout=HANG_GUARD,
                              env=dict(os.environ, DISPLAY="", WAYLAND_DISPLAY=""))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("stale", done.stdout)
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.assertNotIn("tour", vms())

    def test_leaves_nothing_when_it_is_killed(self):
        with subprocess.Popen(START, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as start:
            told = ""
            for line in start.stdout:
                told += line
                if "domain morsel-tour" in line:
                    break
            # Else it might have come to its end, and ended the VM, before the list is here.
            start.send_signal(signal.SIGSTOP)
            vm = vms().get("tour")
            self.assertIsNotNone(vm, told)
            self.addCleanup(subprocess.run, [MORSELCTL, "vm", "down", "tour"], capture_output=True, check=False)
            processes = [os.pidfd_open(vm[which]) for which in ("holder_pid", "machine_pid")]
            start.send_signal(signal.SIGKILL)
            start.stdout.read()  # its end: nobody who could write there is left
        for process in processes:
            self.assertTrue(ends(process))
            os.close(process)
        self.assertNotIn("tour", vms())


if __name__ == "__main__":
    unittest.main()
