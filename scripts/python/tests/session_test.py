#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The client against real servers, and what servers do when they are ended, killed and started again."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from morselscope import Event, Failure, Machine, Missed, Session, SessionLost, find_morselctl  # noqa: E402
from morselscope.session import socket_path  # noqa: E402


class OwnFolder(unittest.TestCase):
    """Sockets are in a folder of the test's own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="morsel-py-")
        self.addCleanup(folder.cleanup)
        old = os.environ.get("XDG_RUNTIME_DIR")
        self.addCleanup(lambda: os.environ.update(XDG_RUNTIME_DIR=old) if old else os.environ.pop("XDG_RUNTIME_DIR"))
        os.environ["XDG_RUNTIME_DIR"] = folder.name
        self.folder = Path(folder.name) / "morselscope"

    def morselctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([find_morselctl(), *words], capture_output=True, text=True, check=False, timeout=60,
                              stdin=subprocess.DEVNULL)


class Client(OwnFolder):
    def setUp(self) -> None:
        super().setUp()
        self.machine = Machine.embedded("test")
        self.addCleanup(self.machine.close)
        self.session = self.machine.session()
        self.addCleanup(self.session.close)

    def test_commands_by_name_and_by_line(self) -> None:
        made = self.session.execute("object-create", NAME="a", SIZE=4 << 20, level="pmd")
        self.assertEqual(made.facts["root_level"], "pmd")
        self.session.line("object populate a 0..8K")
        runs = self.session.execute("object-ranges", NAME="a", dirty=False)
        self.assertIn("0x2000", runs.text)
        denied = self.session.execute("access", NAME="a", VIEW="primary", OFFSET="4K", ACCESS="exec")
        self.assertFalse(denied.holds)

    def test_failures_have_all_their_parts(self) -> None:
        with self.assertRaises(Failure) as caught:
            self.session.execute("object-shwo", NAME="a")
        self.assertEqual((caught.exception.kind, caught.exception.exit_status), ("Failure", 2))
        self.assertIn("object-show", caught.exception.advice)
        with self.assertRaises(SessionLost):
            Session.connect("tset")

    def test_events_with_a_cursor(self) -> None:
        for name in "abc":
            self.session.execute("object-create", NAME=name, SIZE="4M")
        with self.machine.session() as late:
            events = late.events(since=1)
            seen = [next(events), next(events)]
            self.assertEqual([e.data["object"] for e in seen if isinstance(e, Event)], ["b", "c"])
            self.assertEqual(late.cursor, 3)
            self.assertEqual(list(late.events(timeout=0.01)), [])
            self.session.execute("object-create", NAME="d", SIZE="4M")
            self.assertEqual(next(late.events()), next(self.session.events(since=3)))

    def test_points_with_a_cursor(self) -> None:
        for line in ("object create a 4M", "journal on"):
            self.session.line(line)
        with self.machine.session() as reader:
            reader.subscribe(points=True)
            self.session.line("object populate a 0")
            seen = [e for e in reader.events(timeout=0.3) if isinstance(e, Event) and e.name == "POINT"]
            events, points = reader.cursor, reader.points_cursor
        self.assertEqual(points, seen[-1].number)
        self.session.line("object unmap a 0")
        with self.machine.session() as again:
            again.subscribe(since=events, points=True, points_since=points)
            first = next(e for e in again.events() if isinstance(e, Event) and e.name == "POINT")
            self.assertEqual(first.number, seen[-1].number + 1)
            self.session.line("goto 3")
            self.session.line("branch")
            while again.points_cursor != 3:
                next(again.events())

    def test_what_is_no_longer_kept_is_told(self) -> None:
        self.session.execute("object-create", NAME="a", SIZE="4M")
        for _ in range(2100):
            self.session.line("object populate a 0")
            self.session.line("object unmap a 0")
        first = next(self.session.events(since=0))
        self.assertEqual(first, Missed(1, 4201 - 4096))

    def test_morselctl_uses_the_same_session(self) -> None:
        self.session.execute("object-create", NAME="a", SIZE="4M")
        shown = self.morselctl("--session", "test", "object", "show", "a")
        self.assertEqual((shown.returncode, shown.stdout), (0, self.session.line("object show a").text))
        self.assertIn("test", self.morselctl("session", "list").stdout)
        self.assertEqual(self.morselctl("--session", "test", "--embedded", "counters").returncode, 2)
        self.assertEqual(self.morselctl("--session", "none", "counters").returncode, 2)

    def test_connect_reads_lines_and_shows_events(self) -> None:
        done = subprocess.run([find_morselctl(), "connect", "test"], capture_output=True, text=True, check=False,
                              input="object create a 4M\n# nothing\nobject shw a\nobject show a\n", timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("* OBJECT_CHANGED object=a", done.stdout)
        self.assertIn("a  4 MiB", done.stdout)
        self.assertIn("Did you mean 'object show'?", done.stderr)


class Ends(OwnFolder):
    def test_a_killed_server_is_replaced(self) -> None:
        machine = Machine.embedded("test")
        lost = machine.session()
        self.addCleanup(lost.close)
        machine.server.kill()
        machine.server.wait()
        self.assertTrue(socket_path("test").exists())
        with self.assertRaises(SessionLost):
            lost.line("object list")
        self.assertIn("no sessions", self.morselctl("session", "list").stdout)
        with Machine.embedded("test") as again, again.session() as session:
            self.assertEqual(session.line("object list").facts["objects"], [])
        machine.close()

    def test_a_second_server_of_a_name_is_refused(self) -> None:
        with Machine.embedded("test"):
            second = self.morselctl("--embedded", "serve", "test")
            self.assertEqual(second.returncode, 2)
            self.assertIn("session end test", second.stderr)
            self.assertEqual(self.morselctl("--embedded", "serve", "no/name").returncode, 2)

    def test_signals_end_it_cleanly(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            machine = Machine.embedded("test")
            with machine.session() as session:
                session.subscribe()
                machine.server.send_signal(number)
                event = next(session.events())
                self.assertEqual(event.name if isinstance(event, Event) else "", "SHUTDOWN")
            self.assertEqual(machine.server.wait(), 0)
            self.assertEqual(list(self.folder.iterdir()), [])
            machine.close()

    def test_session_end_waits_until_it_has_ended(self) -> None:
        machine = Machine.embedded("test")
        done = self.morselctl("session", "end", "test")
        self.assertEqual((done.returncode, done.stdout), (0, "session test: ended\n"))
        self.assertEqual(machine.server.wait(), 0)
        machine.close()
        self.assertEqual(self.morselctl("session", "end", "test").returncode, 2)

    def test_something_else_that_listens_there_is_no_session(self) -> None:
        self.folder.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
            stranger.bind(str(self.folder / "test.session"))
        with Machine.embedded("test") as machine, machine.session() as session:  # nobody has its lock
            self.assertTrue(session.line("counters").holds)


class Examples(OwnFolder):
    def test_they_hold_on_the_embedded_machine(self) -> None:
        for path in sorted((HERE.parent / "examples").glob("*.py")):
            if path.name == "common.py":
                continue
            done = subprocess.run([sys.executable, path, "--embedded"], capture_output=True, text=True, check=False,
                                  timeout=120)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path.name)
            self.assertIn("embedded machine", done.stdout)


if __name__ == "__main__":
    unittest.main()
