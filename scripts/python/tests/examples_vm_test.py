#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples and the scenario files on one VM, and a server whose VM is lost."""
import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from morselscope import Event, Machine, find_morselctl  # noqa: E402

VM = "python-examples"


class OnAVm(unittest.TestCase):
    def setUp(self) -> None:
        up = subprocess.run([find_morselctl(), "--json", "vm", "up", VM, "--while", str(os.getpid())],
                            capture_output=True, text=True, check=False)
        self.assertEqual(up.returncode, 0, up.stdout + up.stderr)
        self.addCleanup(lambda: subprocess.run([find_morselctl(), "vm", "down", VM], capture_output=True, check=False))
        self.vm = json.loads(up.stdout)["vms"][0]

    def test_examples_and_scenarios_hold_and_a_lost_vm_is_told(self) -> None:
        for path in sorted((HERE.parent / "examples").glob("*.py")):
            if path.name == "common.py":
                continue
            done = subprocess.run([sys.executable, path, "--vm", VM], capture_output=True, text=True, check=False,
                                  timeout=300)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path.name)
            self.assertIn("Linux", done.stdout)

        machine = Machine.on_vm(VM)
        scenarios = subprocess.run([find_morselctl(), "--session", machine.name, "scenario", "run",
                                    *sorted((HERE.parents[1] / "scenarios").glob("*.morsel"))],
                                   capture_output=True, text=True, check=False, timeout=300)
        self.assertEqual((scenarios.returncode, scenarios.stderr), (0, ""), scenarios.stdout)
        self.points_come_without_a_command(machine)
        with machine.session() as session:
            session.subscribe()
            os.kill(self.vm["machine_pid"], signal.SIGKILL)
            names = []
            for event in session.events():
                names.append(event.name if isinstance(event, Event) else "MISSED")
                if names[-1] == "SHUTDOWN":
                    break
        self.assertEqual(names, ["TARGET_LOST", "SHUTDOWN"])
        self.assertEqual(machine.close(), 125)

    def points_come_without_a_command(self, machine: Machine) -> None:
        """A program that nobody waits for faults when the last command has long been answered."""
        with machine.session() as session:
            session.line("object create later 4M")
            session.line("journal on")
            session.subscribe(points=True)
            later = ("until [ -e /tmp/now ]; do sleep 0.1; done;"
                     " morsel-touch /morsel/later write:0x3000=1 >/dev/null 2>&1")
            session.line(f"run sh -c 'setsid sh -c \"{later}\" &'")
            before = session.points_cursor
            subprocess.run([find_morselctl(), "--vm", VM, "run", "touch", "/tmp/now"], check=True)  # by another session
            for event in session.events():
                assert isinstance(event, Event), event
                if event.name == "POINT" and (event.data["actor_kind"], event.data["offset"]) == ("process", 0x3000):
                    break
            self.assertGreater(session.points_cursor or 0, before or 0)
            session.line("journal off")
            session.line("object destroy later")


if __name__ == "__main__":
    unittest.main()
