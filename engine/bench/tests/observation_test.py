#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Point names and observation cost the unobserved build nothing: the code for a platform that hands every access to
nobody equals, instruction by instruction, the code for one that knows nothing of points: mnemonics, immediates, places
in memory. Only which register holds what is not compared: in which order gcc adds two of them depends on names.

  observation_test.py BARE.o OBSERVED_BY_NOBODY.o OBSERVED_BY_A_COUNTER.o
"""
import re
import subprocess
import sys
import unittest
from pathlib import Path

PROBES = ("probe_walk", "probe_fill", "probe_populate", "probe_unmap")


def without_registers(instruction):
    """Without names of registers, and the zero that addressing by some of them takes; nothing, if it only aligns."""
    words = re.sub(r"(0x)?[0-9a-f]+ <[^>]*>|#.*", "", instruction).split()
    if any(word.startswith("nop") for word in words) or words == ["xchg", "%ax,%ax"]:
        return ""
    return re.sub(r"%\w+", "%", " ".join(words)).replace("0x0(", "(")


def functions(path):
    """{symbol: [instruction]}; addresses and names of what is called are left out."""
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True)
    found, current = {}, None
    for line in listing.stdout.splitlines():
        head = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        if head:
            current = found.setdefault(head.group(1), [])
        elif current is not None and re.match(r"\s+[0-9a-f]+:\t", line):
            if instruction := without_registers(line.split("\t", 1)[1]):
                current.append(instruction)
    return found


def size(code):
    return sum(map(len, code.values()))


class Observation(unittest.TestCase):
    bare, nobody, counter, programs = {}, {}, {}, ()

    def test_the_probes_are_there(self):
        for probe in PROBES:
            self.assertIn(probe, self.bare)
        self.assertGreater(size(self.bare), 500)

    def test_an_unobserved_build_is_the_bare_one(self):
        self.assertEqual(size(self.bare), size(self.nobody))
        self.assertTrue(sorted(self.bare.values()) == sorted(self.nobody.values()), "other instructions")

    def test_an_observer_shows(self):
        self.assertGreater(size(self.counter), size(self.bare))

    def test_no_point_is_named(self):
        for program in self.programs:
            self.assertNotIn(b"raise a flush domain's count", program)


if __name__ == "__main__":
    objects = sys.argv[1:4]
    Observation.bare, Observation.nobody, Observation.counter = map(functions, objects)
    Observation.programs = [Path(path).read_bytes() for path in objects]
    unittest.main(argv=sys.argv[:1])
