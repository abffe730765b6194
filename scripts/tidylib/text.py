# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on the text of one file, and on the tree as a whole."""
import re
from pathlib import Path

FILE_LINES = 500
COLUMNS = 120
LICENCE = "SPDX-License-Identifier: GPL-2.0-or-later"

# Written in pieces, so that this file passes its own rules.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) + r")\b")
WORKPLACE = re.compile("/wo" + r"rk/|/tm" + r"p/ms\b|/ro" + r"ot/\.")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|msleep|ssleep|sleep|qWait|qSleep)\s*\(")
SLEEP_OK = "tidy: may sleep:"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def is_program_text(source):
    return source.is_cpp or source.is_c or source.is_python or source.is_shell or source.is_cmake


def check_text(source):
    if is_program_text(source):
        head = source.lines[:2] if source.lines and source.lines[0].startswith("#!") else source.lines[:1]
        if not any(LICENCE in line for line in head):
            yield source.finding(1, "licence", f"the first line says {LICENCE}")
        if len(source.lines) > FILE_LINES:
            yield source.finding(FILE_LINES + 1, "file-size", f"{len(source.lines)} lines; beyond {FILE_LINES} a file "
                                                              "has found a second subject")
    if source.suffix == ".hpp" and "#pragma once" not in source.lines:
        yield source.finding(1, "once", "#pragma once is missing")
    guarded = "#pragma once" in source.lines or re.search(r"^#(ifndef |if !defined\()\w+_H", source.text, re.M)
    if source.suffix == ".h" and not guarded:
        yield source.finding(1, "once", "#pragma once or an include guard is missing")
    if source.text and not source.text.endswith("\n"):
        yield source.finding(len(source.lines), "newline", "the file does not end with a newline")
    yield from check_lines(source)


def check_lines(source):
    program = is_program_text(source)
    code = source.code_lines if source.is_cpp or source.is_c else source.lines
    for number, line in enumerate(source.lines, 1):
        if WORKPLACE.search(line):
            yield source.finding(number, "workplace", "a path of the place where this was written")
        if not program:
            continue
        if UNFINISHED.search(line):
            yield source.finding(number, "unfinished", "do it, or leave it out")
        if source.is_cpp and "\t" in line:
            yield source.finding(number, "tab", "C++ is indented by two spaces")
        if len(line.expandtabs(8)) > COLUMNS and "://" not in line:
            yield source.finding(number, "columns", f"{len(line.expandtabs(8))} columns; {COLUMNS} at most")
        if line != line.rstrip():
            yield source.finding(number, "blank", "blanks at the end of the line")
        if (source.is_cpp or source.is_c) and SLEEP.search(code[number - 1]) and SLEEP_OK not in line:
            yield source.finding(number, "sleep", f"wait for the event (or say why not: // {SLEEP_OK} ...)")


def check_links(source):
    """Links of documents to files of the tree."""
    if source.suffix != ".md":
        return
    folder = (source.root / source.path).parent
    for number, line in enumerate(source.lines, 1):
        for target in LINK.findall(line):
            if "://" not in target and not target.startswith("mailto:") and not (folder / target).exists():
                yield source.finding(number, "link", f"{target}: no such file")


def check_built(sources):
    """Every source is named by a build file of its component: a test that nobody builds cannot fail."""
    build_files = {}
    for source in sources:
        if source.name in ("CMakeLists.txt", "Kbuild", "Makefile") or source.suffix == ".cmake":
            folder = source.path.split("/")[0] if "/" in source.path else ""
            build_files.setdefault(folder, []).append(source.text)
    # Kernel objects are named by their objects, and the engine's one unit includes others by name.
    for source in sources:
        if source.suffix not in (".cpp", ".cc", ".c") or "/" not in source.path:
            continue
        stem = Path(source.path).stem
        text = "\n".join(build_files.get(source.path.split("/")[0], []))
        if not re.search(rf"\b{re.escape(stem)}\b", text):
            yield source.finding(1, "unbuilt", "no build file of its component names this source")
