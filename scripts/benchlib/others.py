# SPDX-License-Identifier: GPL-2.0-or-later
"""What five well-known libraries reach on the same work, and this engine beside them.

Their figures were measured once, each beside L (a loop by hand with only the checks that the job needs): 4-KiB pages,
2^20 of them, 4 levels, one thread, AMD EPYC, gcc 12. What is compared is the ratio to L, ours from the run of
scripts/bench: times depend on the machine and its memory more than on code.
"""
from dataclasses import dataclass

LIBRARIES = ("generic_pt", "page_table_multiarch", "x86_64", "aarch64-paging", "managarm")


@dataclass(frozen=True)
class Work:
    name: str     # the row of AREAS["engine"]
    limit: float  # ns of L, beside them
    others: tuple[float | None, ...]  # ns, in the order of LIBRARIES

    def ratios(self):
        return [ns and ns / self.limit for ns in self.others]

    @property
    def best(self):
        return min(ratio for ratio in self.ratios() if ratio)


WORK = (
    Work("map a range, sole", 0.60, (0.92, 3.25, 6.28, 1.18, 6.53)),
    Work("map page by page, sole, by a bare L", 1.63, (22.5, 3.40, 6.39, 16.3, 6.93)),
    Work("map random pages, sole, by a bare L", 28.5, (164, 42.6, 50.9, 87, 50.2)),
    Work("translate, random, dependent", 138, (158, 141, 143, 150, 140)),
    Work("translate, random, independent", 21.5, (154, 22.2, 34.1, 86, 44.5)),
    Work("protect a range, sole", 0.39, (0.94, 1.69, 2.04, 5.38, 6.7)),
    Work("iterate, dense", 0.08, (0.87, 0.36, 0.09, 1.16, None)),
    Work("iterate, sparse", 8.2, (32, 20.5, 12.4, 32, None)),
    Work("unmap page by page, sole, by a bare L", 1.40, (28.4, 2.93, 2.78, 16.1, 6.56)),
    # aarch64-paging drops whole tables unseen, which is other work.
    Work("unmap a range leaf by leaf, sole", 0.33, (0.50, 2.87, 2.65, None, 6.50)),
)


def verdict(ours, best):
    """In words; two medians of a shared machine that differ by less than a twentieth are equal."""
    if ours is None:
        return "**not measured**"
    if ours < best / 1.05:
        return "ahead"
    return "equal" if ours <= best * 1.05 else "**behind**"


def table(rows):
    """Markdown: of each piece of work the ratio to L, ours from `rows` of scripts/bench."""
    measured = {row["name"]: row["ratio"] for row in rows}

    def cell(ratio):
        return "–" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"

    lines = [f"| time by that of L | engine | {' | '.join(LIBRARIES)} | |", f"|{'---|' * (len(LIBRARIES) + 3)}"]
    for work in WORK:
        ours = measured.get(work.name)
        cells = [work.name.removesuffix(", by a bare L"), *map(cell, [ours, *work.ratios()]), verdict(ours, work.best)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
