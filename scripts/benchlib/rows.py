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
    "engine": [
        Goal("translate, random, dependent", "<=", 1.05),
        Goal("translate, random, independent", "<=", 1.1),
        *(goal for who in ("sole", "live") for goal in (
            Goal(f"map a range, {who}", "<=", 1.15),
            Goal(f"map page by page, {who}", "<=", 1.5),
            Goal(f"map random pages, {who}", "<=", 1.25),
            Goal(f"unmap a range leaf by leaf, {who}", "<=", 1.2),
            Goal(f"unmap a range as subtrees, {who}", "<=", 2),
            Goal(f"unmap page by page, {who}", "<=", 1.5))),
        Goal("protect a range, sole", "<=", 1.5),
        Goal("protect a range, live", "<=", 1.1),
        # The best of other libraries: benchlib/others.py.
        Goal("map page by page, sole, by a bare L", "<=", 2.09),
        Goal("map random pages, sole, by a bare L", "<=", 1.49),
        Goal("unmap page by page, sole, by a bare L", "<=", 1.99),
        Goal("iterate, dense", "<=", 1.2),
        Goal("iterate, sparse", "<=", 1.3),
        Goal("fill of a view, random, dependent", "<=", 3),
        Goal("protect a range, one full view", "<=", 1.3),
        Goal("protect 2 MiB, 8 views that have nothing", "<=", 1.2),
        Goal("two threads fill disjoint ranges", ">=", 1.7),
        Goal("memory of a view besides its tables", "<=", 256),
        Goal("diff, same format", "<=", 1.5),
        Goal("diff, across formats", "<=", 1.3),
        Goal("points explored in a second", ">=", 300000),
    ],
    "inspect": [
        Goal("snapshot of 131072 pages", "<=", 2),
        Goal("diff of 1 GiB in 4-KiB leaves", "<=", 3),
        Goal("snapshot of a guest against a plain walker", "<=", 2),
        Goal("snapshot of a guest against QEMU's gdb stub", ">=", 150),
    ],
    "session": [
        Goal("jump anywhere in 1,000,000 records", "<=", 50),
        Goal("undo or do 1,000,000 records", "<=", 50),
    ],
    "vm": [
        Goal("attach 1 GiB at 1-GiB granularity", ">=", 500),
        Goal("detach 1 GiB at 1-GiB granularity", ">=", 140),
        Goal("attach 1 GiB to a vCPU, against faulting in its pages", ">=", 500),
        Goal("attach 1 GiB to a vCPU, against 64 MiB", "<=", 1.25),
        Goal("violation of a vCPU until it goes on, against KVM's", "<=", 1.5),
        Goal("violation of a vCPU by EPT until it goes on, against KVM's", "<=", 1.5),
        Goal("start of a VM against plain QEMU", "<=", 1.25),
        Goal("stop of a VM", "<=", 0.3),
        Goal("start of a VM in Bochs", "<=", 20),
        Goal("points recorded in the VM without loss", ">=", 200000),
        Goal("a stepped point's round trip against a bare one", "<=", 1.5),
        Goal("a fault, the static key never on, against none", "<=", 1.05),
        Goal("a fault, the static key off again, against none", "<=", 1.05),
    ],
    "build": [
        Goal("image after a change of the module, beyond the compile", "<=", 15),
        Goal("steps of an unchanged start", "<=", 0),
    ],
    "gdb": [],
    "gui": [],
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
