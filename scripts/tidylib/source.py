# SPDX-License-Identifier: GPL-2.0-or-later
"""Files under check: which there are, and their text with and without comments and strings."""
import os
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
import re

CPP = {".hpp", ".cpp", ".cc"}
C = {".c", ".h"}

# Comments, raw strings, strings and characters; the first that matches at a place wins.
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


@dataclass
class Source:
    root: Path
    path: str                       # from the root, with slashes
    text: str = field(repr=False)

    @property
    def suffix(self):
        return Path(self.path).suffix

    @property
    def name(self):
        return Path(self.path).name

    @cached_property
    def lines(self):
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n")

    @property
    def is_cpp(self):
        return self.suffix in CPP

    @property
    def is_c(self):
        return self.suffix in C

    @property
    def is_python(self):
        return self.suffix == ".py" or self.lines[:1] == ["#!/usr/bin/env python3"]

    @property
    def is_shell(self):
        return self.suffix == ".sh" or bool(self.lines and re.match(r"#!.*\b(ba)?sh\b", self.lines[0]))

    @property
    def is_cmake(self):
        return self.suffix == ".cmake" or self.name == "CMakeLists.txt"

    @cached_property
    def code(self):
        """C and C++ without comments and literals; line numbers stay."""
        def blank(match):
            word = match.group(0)
            newlines = "\n" * word.count("\n")
            return newlines if word.startswith("/") else '""' + newlines
        return TOKEN.sub(blank, self.text)

    @cached_property
    def code_lines(self):
        return self.code.split("\n")

    def finding(self, line, rule, text):
        return Finding(self.path, line, rule, text)


def list_files(root):
    """What git tracks or would track; without git, every file."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return sorted({name for name in names if name and (root / name).is_file()})
    found = []
    for folder, _, names in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def load(root, names):
    """Text files only; a file that is not UTF-8 or holds a NUL is a picture or the like."""
    sources = []
    for name in names:
        raw = (root / name).read_bytes()
        if b"\0" in raw:
            continue
        try:
            sources.append(Source(root, name, raw.decode()))
        except UnicodeDecodeError:
            continue
    return sources
