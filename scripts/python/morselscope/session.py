# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to a running session: commands, and the events of its target."""
from __future__ import annotations

import collections
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Deque, Dict, Iterator, List, Optional, Type, Union

Facts = Dict[str, Any]
Argument = Union[str, int, bool, List[str]]


class Failure(Exception):
    """The session could not do what it was asked for: what was tried, what was found, what to do."""

    def __init__(self, error: Facts) -> None:
        super().__init__(str(error.get("desc", "")))
        self.kind: str = error.get("class", "")
        self.tried: str = error.get("tried", "")
        self.found: str = error.get("found", "")
        self.advice: str = error.get("advice", "")
        self.exit_status: int = error.get("exit", 2)


class SessionLost(Exception):
    """The connection has ended: the session was ended, its target was lost, or its server was killed."""


@dataclass(frozen=True)
class Reply:
    """What a command told."""
    facts: Facts
    status: int  # as morselctl's exit status
    text: str    # for people

    @property
    def holds(self) -> bool:
        """False if the command is a check and what it checks does not hold."""
        return self.status == 0


@dataclass(frozen=True)
class Event:
    """Something happened at the target; numbers are consecutive, those of POINT by themselves (the journal's)."""
    name: str
    number: int
    seconds: float  # since the epoch
    data: Facts


@dataclass(frozen=True)
class Missed:
    """Events that happened and are no longer kept, both ends included."""
    first: int
    last: int
    of_points: bool = False


def socket_path(name: str) -> Path:
    """Where the session of that name listens."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    by_user = Path(f"/run/user/{os.geteuid()}")
    if named.startswith("/"):
        folder = Path(named) / "morselscope"
    elif by_user.is_dir():
        folder = by_user / "morselscope"
    else:
        folder = Path(f"/tmp/morselscope-{os.geteuid()}")
    return folder / f"{name}.session"


class Session:
    """A connection; `with` closes it. One thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self._events: Deque[Union[Event, Missed]] = collections.deque()
        self._subscribed = False
        self._requests = 0
        greeting = self._read()
        if "error" in greeting:
            raise Failure(greeting["error"])
        self.greeting: Facts = greeting["morselscope"]
        self.cursor: int = self.greeting["event"]
        """The number of the last event that was seen: `since` of whoever connects again."""
        self.points_cursor: Optional[int] = None
        """The sequence of the last record that was seen, once points are subscribed: `points_since`, likewise."""

    @classmethod
    def connect(cls, name: str) -> Session:
        """Connects to a running session. Raises SessionLost if there is none of that name."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(socket_path(name)))
        except OSError as error:
            connection.close()
            raise SessionLost(f"no session '{name}' runs ({error.strerror}): morselctl serve {name}") from error
        return cls(connection)

    def close(self) -> None:
        """Ends the connection; the session goes on."""
        self._socket.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def call(self, command: str, arguments: Optional[Facts] = None, text: bool = False) -> Facts:
        """One request as it is; returns what stands under "return". Raises Failure."""
        self._requests += 1
        request: Facts = {"execute": command, "arguments": arguments or {}, "id": self._requests}
        if text:
            request["text"] = "plain"
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise SessionLost(f"the session has gone: {error.strerror}") from error
        while True:
            message = self._read()
            if "event" in message:
                self._keep(message)
            elif "error" in message:
                raise Failure(message["error"])
            else:
                value: Facts = message["return"]
                return value

    def execute(self, command: str, **arguments: Argument) -> Reply:
        """A command of the table by its name: execute("object-ranges", NAME="a", dirty=True)."""
        return self._reply(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    def line(self, line: str) -> Reply:
        """A command as it is typed: line("object create a 4M")."""
        return self._reply("command-line", {"line": line})

    def _reply(self, command: str, arguments: Facts) -> Reply:
        value = self.call(command, arguments, text=True)
        return Reply(value["facts"], value["status"], value.get("text", ""))

    def subscribe(self, since: Optional[int] = None, points: bool = False,
                  points_since: Optional[int] = None) -> None:
        """Has events sent from now on; with `since` also those after that number, with `points` also new records of
        the journal, and with `points_since` those after that one."""
        arguments: Facts = {"points": points}
        if since is not None:
            arguments["since"] = since
        if points_since is not None:
            arguments["points_since"] = points_since
        reply = self.call("subscribe", arguments)
        self.cursor = reply["cursor"]
        self.points_cursor = reply.get("points_cursor")
        self._subscribed = True

    def events(self, since: Optional[int] = None, timeout: Optional[float] = None) -> Iterator[Union[Event, Missed]]:
        """Events as they come, without end. With a timeout: until none came for so many seconds."""
        if not self._subscribed or since is not None:
            self.subscribe(since)
        while True:
            if not self._events:
                try:
                    self._socket.settimeout(timeout)
                    self._keep(self._read())
                except socket.timeout:
                    return
                finally:
                    self._socket.settimeout(None)
            yield self._events.popleft()

    def _keep(self, message: Facts) -> None:
        data: Facts = message.get("data", {})
        of_points = message["event"] == "POINT" or data.get("of") == "sequence"
        if message["event"] == "MISSED":
            number = data["to"]
            self._events.append(Missed(data["from"], data["to"], of_points))
        else:
            number = message["sequence" if of_points else "number"]
            stamp = message["timestamp"]
            self._events.append(Event(message["event"], number, stamp["seconds"] + stamp["microseconds"] / 1e6, data))
        if of_points:
            self.points_cursor = number
        else:
            self.cursor = number
        if message["event"] == "JOURNAL_RESTARTED" and self.points_cursor is not None:
            self.points_cursor = min(self.points_cursor, data["from"] - 1)

    def _read(self) -> Facts:
        while b"\n" not in self._buffer:
            try:
                received = self._socket.recv(1 << 16)
            except socket.timeout:
                raise
            except OSError as error:
                raise SessionLost(f"the session has gone: {error.strerror}") from error
            if not received:
                raise SessionLost("the session has ended")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: Facts = json.loads(line)
        return message
