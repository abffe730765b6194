# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines for scripts: a session's server as a child process, on the embedded machine or on a test VM."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from types import TracebackType
from typing import List, Optional, Type

from morselscope.session import Session


def find_morselctl() -> str:
    """The program: that of MORSELCTL, of PATH, or of the build folder beside this file."""
    built = Path(__file__).resolve().parents[3] / "build" / "dev" / "bin" / "morselctl"
    for candidate in (os.environ.get("MORSELCTL"), shutil.which("morselctl"), str(built)):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError("morselctl is not there: build it (cmake --build --preset dev), or set MORSELCTL")


class Machine:
    """A session's server, and the VM behind it if this started one. `with` ends both."""

    def __init__(self, words: List[str], name: Optional[str] = None, vm: Optional[str] = None) -> None:
        self.name = name or f"python-{uuid.uuid4().hex[:8]}"
        self._vm = vm
        self.server = subprocess.Popen([find_morselctl(), "--json", *words, "serve", "--json", self.name],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        facts = json.loads(line) if line else {"error": {"found": "the server has ended"}}
        if "error" in facts:
            self.close()
            raise RuntimeError(f"serving {' '.join(words)}: {facts['error']['found']}")

    @classmethod
    def embedded(cls, name: Optional[str] = None) -> Machine:
        """The deterministic machine inside the server's process."""
        return cls(["--embedded"], name)

    @classmethod
    def on_vm(cls, vm: str, name: Optional[str] = None) -> Machine:
        """A test VM that runs already."""
        return cls(["--vm", vm], name)

    @classmethod
    def new_vm(cls, name: Optional[str] = None) -> Machine:
        """A new test VM, which ends with this object, or with this process."""
        vm = f"python-{uuid.uuid4().hex[:8]}"
        subprocess.run([find_morselctl(), "vm", "up", vm, "--while", str(os.getpid())], check=True,
                       stdout=subprocess.DEVNULL)
        return cls(["--vm", vm], name, vm)

    def session(self) -> Session:
        """A new connection."""
        return Session.connect(self.name)

    def close(self) -> int:
        """Ends the server, and the VM if this object started it. Returns the server's exit status."""
        self.server.terminate()
        status = self.server.wait()
        assert self.server.stdout is not None
        self.server.stdout.close()
        if self._vm is not None:
            subprocess.run([find_morselctl(), "vm", "down", self._vm], check=True, stdout=subprocess.DEVNULL)
            self._vm = None
        return status

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()
