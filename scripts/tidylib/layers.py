# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom (docs/ARCHITECTURE.md), and what the freestanding engine may use."""
import re

# X: what X may include, besides itself and what those may include in turn.
ARROWS = {
    "engine/abi": [],
    "engine/base": [],
    "engine/format": ["engine/base"],
    "engine/platform": ["engine/base", "engine/abi"],     # the table of points is plain C, in abi
    "engine/table": ["engine/format", "engine/platform"],
    "engine/morsel": ["engine/table"],
    "engine/inspect": ["engine/format"],
    "target": ["engine/platform", "engine/inspect", "engine/abi"],
    "engine/sim": ["engine/morsel", "engine/inspect", "engine/abi", "target"],
    "engine/session": ["engine/inspect", "engine/sim"],
    "engine/bench": ["engine/sim", "engine/inspect"],
    "engine/tests": ["engine/sim", "engine/inspect"],
    "kmod": ["engine/morsel", "engine/abi"],
    "testvm": ["engine/session", "engine/inspect", "engine/abi"],
    "gdbstub": ["engine/session"],
    "gui/models": ["engine/session"],
    "gui": ["gui/models"],
    # Programs put the parts together: they alone know every kind of target.
    "program": ["gui", "testvm", "gdbstub", "engine/session"],
}
# What every kind of target implements: an interface below the embedded machine, though it stands with the session.
TARGET = tuple(f"engine/session/{name}.hpp" for name in ("target", "failure", "stepping", "journal_source"))
PROGRAMS = ("gui/main.cpp", "gui/open_vm.", "scripts/morselctl/")

FREESTANDING = ("engine/base", "engine/format", "engine/platform", "engine/table", "engine/morsel")
FREESTANDING_HEADERS = set(
    "algorithm array atomic bit compare concepts cstddef cstdint initializer_list iterator limits numeric optional "
    "ranges source_location span string_view tuple type_traits utility variant version".split())
ABI_HEADERS = {"linux/types.h", "linux/ioctl.h", "sys/ioctl.h"}
OS_HEADER = re.compile(r"^(sys/|linux/|unistd\.h|fcntl\.h|thread$|mutex$|filesystem$|iostream$|fstream$|chrono$)")
WIDGETS = re.compile(r"^(QtWidgets|QtGui)\b"
                     r"|^Q\w*(Widget|View|Dialog|Window|Button|Delegate|Painter|Pixmap|Action|Menu)s?$")

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
KEYWORDS = re.compile(r"\b(new|delete|throw|try|catch|thread_local|dynamic_cast|typeid|virtual)\b")
GLOBAL = re.compile(r"^(?:inline|static)\s+(?!constexpr\b|constinit\b|consteval\b|const\s+constinit\b|inline\s+const)"
                    r"[\w:<>,\s*&]+?\s*(?:=|\{|;)")


def closure(layer):
    seen, todo = set(), [layer]
    while todo:
        at = todo.pop()
        if at not in seen:
            seen.add(at)
            todo += ARROWS[at]
    return seen


ALLOWED = {layer: closure(layer) for layer in ARROWS}


def layer_of(path):
    if path.startswith(PROGRAMS):
        return "program"
    if path in TARGET:
        return "target"
    known = [layer for layer in ARROWS if path.startswith(layer + "/")]
    return max(known, key=len) if known else None


def allowed_layers(path):
    layer = layer_of(path)
    if layer is None:
        return None
    allowed = set(ALLOWED[layer])
    if layer == "kmod" and path.endswith((".c", ".h")):
        return {"kmod", "engine/abi"}
    if "/tests/" in path or "/fuzz/" in path or "/bench/" in path:
        # A test may build what it checks with any part of the engine, the embedded machine included.
        allowed |= ALLOWED["engine/tests"] | {"engine/bench"}
        # The window's tests put parts together as its program does.
        if layer.startswith("gui"):
            allowed |= ALLOWED["program"]
    return allowed


def check_includes(source):
    if not (source.is_cpp or source.is_c):
        return
    allowed = allowed_layers(source.path)
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        if match.group(1):
            yield from check_quoted(source, number, match.group(1), allowed)
        else:
            yield from check_system(source, number, match.group(2))


def check_quoted(source, number, target, allowed):
    if target.endswith(".moc"):
        return
    layer = layer_of(target)
    if layer is None:
        folder = source.path.rsplit("/", 1)[0]
        kernel_style = layer_of(source.path) == "kmod" and source.is_c
        if not (kernel_style and (source.root / folder / target).is_file()):
            yield source.finding(number, "include", f'"{target}": write includes from the root of the source tree')
        return
    if not (source.root / target).is_file():
        yield source.finding(number, "include", f'"{target}": no such file')
    if allowed is not None and layer not in allowed:
        yield source.finding(number, "layer", f"{layer_of(source.path)} may not include {layer} ({target})")


def check_system(source, number, target):
    layer = layer_of(source.path)
    if layer in FREESTANDING and target not in FREESTANDING_HEADERS and "/tests/" not in source.path:
        yield source.finding(number, "freestanding", f"<{target}> is not among the freestanding engine's headers")
    if layer == "engine/abi" and target not in ABI_HEADERS and "/tests/" not in source.path:
        yield source.finding(number, "abi", f"<{target}>: the C interface includes {sorted(ABI_HEADERS)} only")
    if layer == "engine/inspect" and OS_HEADER.match(target) and "/tests/" not in source.path:
        yield source.finding(number, "pure", f"<{target}>: inspection reads memory that it is given, nothing else")
    if layer == "gui/models" and WIDGETS.match(target) and "/tests/" not in source.path:
        yield source.finding(number, "layer", f"<{target}>: models know QtCore only")


def check_freestanding(source):
    if layer_of(source.path) not in FREESTANDING or not source.is_cpp or "/tests/" in source.path:
        return
    algorithms = layer_of(source.path) in ("engine/table", "engine/morsel")
    for number, line in enumerate(source.code_lines, 1):
        for match in KEYWORDS.finditer(re.sub(r"=\s*(delete|default)\b", "", line)):
            if not line.lstrip().startswith("#"):
                yield source.finding(number, "freestanding", f"'{match.group(1)}' is not available in the kernel build")
        if GLOBAL.match(line):
            yield source.finding(number, "freestanding", "a global must be constexpr or constinit: no initialiser runs")
        if algorithms and re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line):
            yield source.finding(number, "freestanding", "no conditional compilation here: the platform decides")
