#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What was written is reported once, and goes along when pages move to other frames."""
from common import choose_machine, new_object

PAGE = 4096


def main() -> None:
    with choose_machine(__doc__) as machine, machine.session() as session, new_object(session, "4M") as name:
        session.line(f"object populate {name} 0..64K")
        view = session.execute("view-add", NAME=name, FORMAT="ept").facts["view"]

        def dirty() -> set[int]:
            """The numbers of the pages that were written since the last harvest, which forgets them."""
            runs = session.execute("object-harvest", NAME=name, RANGE="all").facts["dirty"]
            return {page for run in runs for page in range(run["start"] // PAGE, run["end"] // PAGE)}

        dirty()
        for page in (1, 2, 9):
            session.execute("access", NAME=name, VIEW=str(view), OFFSET=page * PAGE, ACCESS="write", value=0x100 + page)
        assert dirty() == {1, 2, 9}
        assert dirty() == set()
        session.line(f"object migrate {name} 0..64K")
        for page in (1, 2, 9):
            value = session.line(f"access {name} {view} {page * PAGE:#x} read").facts["value"]
            assert int(str(value), 0) == 0x100 + page, value
        assert session.line(f"diff {name}").holds
        print(f"{session.greeting['target']['machine']}: three pages written, reported once, moved, and not lost")


if __name__ == "__main__":
    main()
