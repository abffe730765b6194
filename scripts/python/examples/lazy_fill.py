#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A view is filled by accesses, entry by entry, and follows the primary when pages are taken away."""
from common import choose_machine, new_object


def main() -> None:
    with choose_machine(__doc__) as machine, machine.session() as session, new_object(session, "4M") as name:
        session.line(f"object populate {name} 0..64K")
        view = session.execute("view-add", NAME=name, FORMAT="ept").facts["view"]

        def states() -> dict[str, int]:
            """Pages of the view by state, of those that the primary maps."""
            counts = session.execute("diff", NAME=name, VIEW=str(view)).facts["views"][0]["pages"]
            return {state: count for state, count in counts.items() if count}

        before = states()
        assert before.get("same", 0) == 0, before
        for page in (0, 3, 7):
            outcome = session.line(f"access {name} {view} {page * 4096:#x} read").facts["outcome"]
            assert outcome == "filled", outcome
        assert session.line(f"access {name} {view} 0x3000 read").facts["outcome"] == "hit"
        assert states()["same"] == 3, states()

        session.line(f"object unmap {name} 0x3000")
        after = session.execute("diff", NAME=name, VIEW=str(view))
        assert after.holds, after.text
        assert states()["same"] == 2, states()
        refused = session.line(f"access {name} {view} 0x3000 read --no-populate")
        assert refused.facts["outcome"] == "denied" and not refused.holds, refused.text
        print(f"{session.greeting['target']['machine']}: three pages filled, one taken away, the view is clean")


if __name__ == "__main__":
    main()
