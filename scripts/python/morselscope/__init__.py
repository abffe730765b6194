# SPDX-License-Identifier: GPL-2.0-or-later
"""Client of Morselscope's sessions (docs/sessions.md), with the standard library only.

    from morselscope import Machine, Session

    with Machine.embedded() as machine, machine.session() as session:
        session.execute("object-create", NAME="demo", SIZE="4M")
        session.line("view add demo ept")
        assert session.line("diff demo").holds
"""
from morselscope.machine import Machine, find_morselctl
from morselscope.session import Event, Failure, Missed, Reply, Session, SessionLost

__all__ = ["Event", "Failure", "Machine", "Missed", "Reply", "Session", "SessionLost", "find_morselctl"]
