#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The shell scripts: they parse, can be run, and refuse words that they do not know before they do anything."""
import os
import random
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ["scripts/" + name for name in ("start", "test", "campaign", "install-packages", "bench", "lint", "tidy",
                                           "summarise-tests", "coverage", "fuzz", "fuzz-corpus")] + [".ci/run"]


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
        for name in ("start", "test", "campaign", "install-packages", "bench", "fuzz"):
            done = subprocess.run([ROOT / "scripts" / name, "--no-such-word"], capture_output=True, text=True,
                                  check=False, timeout=60)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn(f"scripts/{name}", done.stderr.replace("usage: bench", "scripts/bench"), name)


class Corpus(unittest.TestCase):
    """scripts/fuzz-corpus, and what scripts/corpus holds."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "inputs").mkdir()

    def corpus(self, *words):
        return subprocess.run([ROOT / "scripts/fuzz-corpus", *words], capture_output=True, text=True, check=False)

    def unpacked(self, file):
        done = self.corpus("unpack", file, self.folder / "out")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(p.read_bytes() for p in (self.folder / "out").iterdir())

    def test_unpacks_what_it_has_packed(self):
        inputs = sorted([b"", b"{}", bytes(range(256)), b"\n" * 4096])
        for number, data in enumerate(inputs):
            (self.folder / "inputs" / str(number)).write_bytes(data)
        done = self.corpus("pack", self.folder / "inputs", self.folder / "text")
        self.assertIn("4 of 4 inputs", done.stdout)
        self.assertEqual(self.unpacked(self.folder / "text"), inputs)

    def test_the_largest_stay_out_when_there_is_no_room(self):
        (self.folder / "inputs" / "small").write_bytes(b"small")
        (self.folder / "inputs" / "large").write_bytes(random.Random(1).randbytes(100_000))
        self.assertIn("1 of 2 inputs", self.corpus("pack", self.folder / "inputs", self.folder / "text").stdout)
        self.assertEqual(self.unpacked(self.folder / "text"), [b"small"])

    def test_names_the_line_that_is_no_input(self):
        for line in ("%%%", "aGVsbG8="):
            (self.folder / "text").write_text("eNoDAAAAAAE=\n" + line + "\n")
            done = self.corpus("unpack", self.folder / "text", self.folder / "out")
            self.assertEqual(done.returncode, 1, line)
            self.assertIn("text:2: no input", done.stderr)

    def test_every_fuzzer_has_one(self):
        programs = [p.stem for p in ROOT.glob("*/**/fuzz/*_fuzz.cpp") if "build" not in p.parts]
        self.assertGreaterEqual(len(programs), 4)
        for name in programs:
            self.assertGreater(len(self.unpacked(ROOT / "scripts/corpus" / name)), 20, name)


class StandIns(unittest.TestCase):
    """Programs of the test's own are found first."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.calls = self.folder / "calls"

    def program(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text + "\n")
        path.chmod(0o755)


class FailingStart(StandIns):
    """scripts/start where one of its programs fails: all packages are there, and nothing has to be built."""

    def start(self, fails):
        for name in ("apt-get", "ninja", "cmake"):
            self.program(name, "exit 0")
        self.program("dpkg-query", 'shift 2; printf "installed %s\\n" "$@"')
        for name in ("morselctl", "morselscope"):
            self.program(f"bin/{name}", f'echo "$*" >> {self.calls}; case "$*" in {fails}) exit 5 ;; esac')
        done = subprocess.run([ROOT / "scripts" / "start"], capture_output=True, text=True, check=False, timeout=60,
                              env=dict(os.environ, PATH=f"{self.folder}:/usr/bin:/bin", MORSEL_BUILD=str(self.folder),
                                       DISPLAY=":0"))
        self.assertEqual((done.returncode, done.stderr), (5, ""))
        return [re.sub("[0-9]+", "PID", line) for line in self.calls.read_text().splitlines()]

    def test_its_vm_ends_when_the_tour_fails(self):
        self.assertEqual(self.start("*' tour --keep'"),
                         ["vm up tour --while PID", "--vm tour tour --keep", "vm down tour"])

    def test_its_vm_ends_when_the_window_fails(self):
        self.assertEqual(self.start("*' --object tour'"), ["vm up tour --while PID", "--vm tour tour --keep",
                                                           "--vm tour --object tour", "vm down tour"])

    def test_no_vm_is_ended_that_somebody_else_has(self):
        self.assertEqual(self.start("'vm up '*"), ["vm up tour --while PID"])


class MissingPackages(StandIns):
    """install-packages on a machine that lacks two packages: dpkg-query, apt-get and id are stand-ins."""
    MISSING = ("busybox-static", "libarchive-dev")

    def setUp(self):
        super().setUp()
        # Called as: dpkg-query -W -f=FORMAT PACKAGE...
        self.program("dpkg-query", 'shift 2; for name; do case "$name" in ' + "|".join(self.MISSING) + ") ;; "
                                   '*) echo "installed $name" ;; esac; done')

    def install(self, user, apt_get="exit 0"):
        self.program("id", f"echo {user}")
        self.program("apt-get", f'echo "$*" >> {self.calls}; {apt_get}')
        return subprocess.run([ROOT / "scripts" / "install-packages", "start"], capture_output=True, text=True,
                              check=False, timeout=60, env=dict(os.environ, PATH=f"{self.folder}:/usr/bin:/bin"))

    def test_an_ordinary_user_is_told_what_to_install(self):
        done = self.install(user=1000)
        self.assertEqual(done.returncode, 77)
        self.assertEqual(done.stderr, "install-packages: these packages are missing. As root:\n"
                                      "  apt-get install --no-install-recommends busybox-static libarchive-dev\n")
        self.assertFalse(self.calls.exists())

    def test_start_and_test_go_no_further_without_them(self):
        self.install(user=1000)
        for name in ("start", "test"):
            done = subprocess.run([ROOT / "scripts" / name], capture_output=True, text=True, check=False, timeout=60,
                                  env=dict(os.environ, PATH=f"{self.folder}:/usr/bin:/bin"))
            self.assertEqual(done.returncode, 77, name)
            self.assertIn("busybox-static libarchive-dev", done.stderr, name)
            self.assertNotIn("Build", done.stdout, name)

    def test_root_gets_only_what_is_missing(self):
        done = self.install(user=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        update, install = self.calls.read_text().splitlines()
        self.assertIn("update", update)
        self.assertTrue(install.endswith("install busybox-static libarchive-dev"), install)

    def test_a_package_that_cannot_be_had_is_named(self):
        done = self.install(user=0, apt_get="exit 100")
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not install: busybox-static libarchive-dev", done.stderr)
        self.assertIn("going on with the lists that are there", done.stderr)

    def test_another_system_is_named(self):
        for name in ("bash", "sed", "dirname", "cat"):
            (self.folder / name).symlink_to(f"/usr/bin/{name}")
        (self.folder / "dpkg-query").unlink()
        done = subprocess.run([ROOT / "scripts" / "install-packages"], capture_output=True, text=True, check=False,
                              timeout=60, env={"PATH": str(self.folder)})
        self.assertEqual(done.returncode, 77)
        self.assertIn("Debian 12 is supported", done.stderr)

    def test_configuring_names_the_packages_of_all_missing_libraries(self):
        with tempfile.TemporaryDirectory() as build:
            done = subprocess.run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", build,
                                   "-DCMAKE_DISABLE_FIND_PACKAGE_LibArchive=ON", "-DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON"],
                                  capture_output=True, text=True, check=False, timeout=300)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("apt-get install --no-install-recommends libfmt-dev libarchive-dev", done.stderr)


if __name__ == "__main__":
    unittest.main()
