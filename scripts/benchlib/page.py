# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/performance.md: the tables that the rows of a run replace, each between two lines of its own.

    <!-- scripts/bench --page: vm -->
    ...
    <!-- end of vm -->
"""
import datetime
import os
import re
from pathlib import Path

from benchlib import others

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/performance.md"


class Unmarked(Exception):
    """The page has no place for the area."""


def figure(value, unit=None):
    """Three significant digits, large numbers whole."""
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return f"{text} {unit}" if unit else text


def machine():
    """What the numbers were measured on, as a sentence."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    today = datetime.date.today()
    return (f"{len(names)} × {names[0] if names else 'unknown'}, {today.day} {today:%B %Y}, "
            f"load at the end {os.getloadavg()[0]:.1f}.")


def table(rows):
    """Markdown of these rows of scripts/bench."""
    lines = ["| | value | baseline | ratio | goal | |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (row["name"], figure(row["value"], row["unit"]), figure(row["baseline"], row["unit"]),
                 figure(row["ratio"]), row["goal"].replace("<=", "≤").replace(">=", "≥"),
                 "met" if row["met"] else "**not met**")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def replace(text, name, content):
    """The page's text with other content between the two lines of this name."""
    first, last = f"<!-- scripts/bench --page: {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not found or not end:
        raise Unmarked(f"{PAGE.relative_to(ROOT)} has no lines '{first.strip()}' and '{last}'")
    return f"{before}{first}{content}\n{last}{after}"


def rewrite(text, area, rows, where):
    """The page's text with the area's rows in their place."""
    if area == "engine":
        text = replace(text, "others", others.table(rows))
    return replace(text, area, f"{table(rows)}\n\n{where}")
