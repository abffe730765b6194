# SPDX-License-Identifier: GPL-2.0-or-later
"""What the examples share: which machine, and an object of their own."""
import argparse
import contextlib
import sys
from pathlib import Path
from typing import Iterator

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from morselscope import Machine, Session  # noqa: E402


def choose_machine(description: str) -> Machine:
    """The machine of the command line; without an option a new VM."""
    parser = argparse.ArgumentParser(description=description)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--embedded", action="store_true", help="the machine inside the server; no VM is needed")
    which.add_argument("--vm", metavar="NAME", help="a test VM that runs already; without, a new one")
    arguments = parser.parse_args()
    if arguments.embedded:
        return Machine.embedded()
    return Machine.on_vm(arguments.vm) if arguments.vm else Machine.new_vm()


@contextlib.contextmanager
def new_object(session: Session, size: str) -> Iterator[str]:
    """An object that is destroyed at the end, whatever happens."""
    name = "example"
    session.execute("object-create", NAME=name, SIZE=size)
    try:
        yield name
    finally:
        session.execute("inject-clear")
        session.execute("object-destroy", NAME=name)
