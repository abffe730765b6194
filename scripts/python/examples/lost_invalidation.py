#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One invalidation is dropped on purpose: diff names the stale entry, and events tell what happened meanwhile."""
from common import choose_machine, new_object

from morselscope import Event, Failure


def main() -> None:
    with choose_machine(__doc__) as machine, machine.session() as session, machine.session() as watcher:
        watcher.subscribe()
        with new_object(session, "4M") as name:
            session.line(f"object populate {name} 0..16K")
            view = session.execute("view-add", NAME=name, FORMAT="npt").facts["view"]
            for page in range(4):
                session.execute("access", NAME=name, VIEW=str(view), OFFSET=page * 4096, ACCESS="write", value=page)
            assert session.line(f"diff {name}").holds

            session.execute("inject-add", POINT="invalidate", ACTION="drop", view=str(view), nth=2)
            session.line(f"object unmap {name} 0..16K")
            diff = session.line(f"diff {name}")
            assert diff.status == 1, diff.text
            (run,) = diff.facts["views"][0]["runs"]
            assert run["state"] == "stale" and run["pages"] == 1, run
            (rule,) = session.execute("inject-list").facts["rules"]
            assert rule["fired"] == 1, rule

            try:
                session.line(f"object show {name}-of-which-there-is-none")
                raise AssertionError("an object was found that is not there")
            except Failure as failure:
                assert failure.exit_status == 2 and failure.advice, failure
            at = run["start"]
        last = session.call("query-session")["event"]
        names = set()
        for event in watcher.events():
            assert isinstance(event, Event), event
            names.add(event.name)
            if event.number >= last:
                break
        assert {"OBJECT_CHANGED", "FAULT_FIRED"} <= names, names
        print(f"{session.greeting['target']['machine']}: the entry at {at:#x} is stale, as it was made to be")


if __name__ == "__main__":
    main()
