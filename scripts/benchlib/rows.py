# SPDX-License-Identifier: GPL-2.0-or-later
"""The goals. One line is one row of scripts/bench; later work adds lines, not shapes."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    name: str           # as the measurement calls itself
    relation: str       # "<=" or ">="
    bound: float

    @property
    def text(self):
        return f"{self.relation} {self.bound:g}"


AREAS = {
    "inspect": [
        Goal("snapshot of 131072 pages", "<=", 2),
        Goal("diff of 1 GiB in 4-KiB leaves", "<=", 3),
        Goal("snapshot of a guest against a plain walker", "<=", 2),
        Goal("snapshot of a guest against QEMU's gdb stub", ">=", 150),
    ],
    "vm": [
        Goal("attach 1 GiB at 1-GiB granularity", ">=", 500),
        Goal("detach 1 GiB at 1-GiB granularity", ">=", 140),
        Goal("start of a VM against plain QEMU", "<=", 1.25),
        Goal("stop of a VM", "<=", 0.3),
    ],
    "build": [
        Goal("image after a change of the module, beyond the compile", "<=", 15),
        Goal("steps of an unchanged start", "<=", 0),
    ],
}


def row(area, goal, measured):
    """`measured`: {name: {"value", "unit", "baseline"}}; a missing measurement is a goal that is not met."""
    found = measured.get(goal.name)
    if found is None:
        return {"area": area, "name": goal.name, "value": None, "unit": None, "baseline": None, "ratio": None,
                "goal": goal.text, "met": False}
    value, baseline = found["value"], found.get("baseline")
    ratio = None
    if baseline is not None:
        ratio = value / baseline if goal.relation == "<=" else baseline / value
    judged = value if ratio is None else ratio
    met = judged <= goal.bound if goal.relation == "<=" else judged >= goal.bound
    return {"area": area, "name": goal.name, "value": value, "unit": found["unit"], "baseline": baseline,
            "ratio": ratio, "goal": goal.text, "met": met}
