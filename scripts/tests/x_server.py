# SPDX-License-Identifier: GPL-2.0-or-later
"""An X server of the test's own, without a screen or a user: its windows, keys into them, what is seen of them."""
from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable

HANG_GUARD = 120  # seconds
# One chip of 24 x 16 pixels is in every legend: what has more of a state's colour shows an entry in this state.
LEGENDS_CHIP = 24 * 16


def pixels_of(colour: str, picture: Path | bytes) -> int:
    """How many pixels of a picture, a file or PNG's bytes, have just this colour."""
    data = picture if isinstance(picture, bytes) else picture.read_bytes()
    count = ["-fill", "black", "+opaque", colour, "-fill", "white", "-opaque", colour]
    done = subprocess.run(["convert", "png:-", *count, "-format", "%[fx:round(mean*w*h)]", "info:"], input=data,
                          capture_output=True, check=True, timeout=HANG_GUARD)
    return int(done.stdout)


def wait_until(condition: Callable[[], bool]) -> bool:
    """Looks again and again: a window tells nobody outside that it has painted something."""
    limit = time.monotonic() + HANG_GUARD
    while not condition():
        if time.monotonic() > limit:
            return False
    return True


class XServer:
    def __init__(self) -> None:
        ready, told = os.pipe()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "Xvfb", "-displayfd", str(told), "-screen", "0", "1600x1100x24",
             "-nolisten", "tcp"], pass_fds=[told], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(told)
        with os.fdopen(ready) as lines:
            number = lines.readline().strip()
        self._settings = tempfile.TemporaryDirectory()
        # What a window remembers is for the next one on this server, and not for the user's.
        self.environment = dict(os.environ, DISPLAY=f":{number}", XDG_CONFIG_HOME=self._settings.name)
        for other_choice in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "QT_QPA_PLATFORM"):
            self.environment.pop(other_choice, None)
        if not number:
            self.close()
            raise RuntimeError("Xvfb does not start (apt install xvfb)")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(HANG_GUARD)
        self._settings.cleanup()

    def _call(self, *words: str) -> bytes:
        return subprocess.run(words, env=self.environment, capture_output=True, check=True, timeout=HANG_GUARD).stdout

    def settings(self) -> Path:
        return Path(self._settings.name)

    def window(self, title: str, program: subprocess.Popen[bytes]) -> str:
        """Waits for a window whose title matches the regular expression, for as long as the program runs."""
        running = os.pidfd_open(program.pid)
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", title]
        with subprocess.Popen(search, env=self.environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            told = select.select([process.stdout, running], [], [], HANG_GUARD)[0]
            os.close(running)
            if process.stdout not in told:
                process.kill()
                raise AssertionError(f"no window '{title}': " + ("the program has ended" if told else "none is shown"))
            return process.stdout.readline().decode().strip()

    def process(self, window: str) -> int:
        return int(self._call("xdotool", "getwindowpid", window))

    def press(self, window: str, key: str) -> None:
        self._call("xdotool", "windowfocus", "--sync", window, "key", key)

    def picture(self, window: str) -> bytes:
        return self._call("import", "-silent", "-window", window, "png:-")

    def pixels_of(self, colour: str, window: str) -> int:
        return pixels_of(colour, self.picture(window))

    def keep_picture(self, window: str, file: Path) -> None:
        """For people, who look at it."""
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(self.picture(window))
