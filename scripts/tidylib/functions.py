# SPDX-License-Identifier: GPL-2.0-or-later
"""Lengths of functions. C and C++ by matching braces, Python by its own parser."""
import ast
import re

FUNCTION_LINES = 70
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|concept|extern)\b")
CONTROL = re.compile(r"^(if|for|while|switch|do|else|return|catch|try)\b")


def without_directives(code):
    """Preprocessor lines and their continuations blanked: their braces need not match."""
    result, continued = [], False
    for line in code.split("\n"):
        directive = continued or line.lstrip().startswith("#")
        result.append("" if directive else line)
        continued = directive and line.rstrip().endswith("\\")
    return "\n".join(result)


def opens_function(head, previous):
    """Does `{` after `head` begin a function's body, where no function is open?"""
    head = re.sub(r"\b(public|private|protected|signals|(public|private|protected)?\s*slots)\s*:", "", head)
    head = re.sub(r"\[\[.*?\]\]|\btemplate\s*<[^{}]*?>\s*(?=\w)|\balignas\s*\([^)]*\)", " ", head).strip()
    if previous == "function" and (head == "" or head.startswith(",")):
        return True                                     # Foo() : a_{1}, b_{2} {
    if "(" not in head or CONTROL.match(head):
        return False
    if SCOPE.search(head.split("(")[0]) and not re.search(r"\)\s*(const|noexcept|override|final)*\s*$", head):
        return False
    return not re.search(r"=\s*$|=\s*[\w:<>]+$", head)


def c_functions(code):
    """(first line, last line) of every outermost function."""
    code = without_directives(code)
    stack, head_start, previous = [], 0, None
    inside = 0                                          # how many functions are open: lambdas count as part
    line_of = [0]
    for offset, char in enumerate(code):
        if char == "\n":
            line_of.append(offset + 1)
    starts = line_of

    def line_at(offset):
        low, high = 0, len(starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if starts[middle] <= offset else (low, middle)
        return low + 1

    for match in re.finditer(r"[{};]", code):
        char, at = match.group(0), match.start()
        if char == "{":
            head = code[head_start:at]
            function = not inside and opens_function(head, previous)
            first = head_start + len(head) - len(head.lstrip())
            stack.append((function, first))
            inside += function
            previous = None
        elif char == "}" and stack:
            function, first = stack.pop()
            inside -= function
            previous = "function" if function else None
            if function:
                yield line_at(first), line_at(at)
        else:
            previous = None
        head_start = at + 1


def check_functions(source):
    if source.is_cpp or source.is_c:
        spans = c_functions(source.code)
    elif source.is_python:
        tree = ast.parse(source.text)
        spans = ((node.lineno, node.end_lineno) for node in ast.walk(tree)
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    else:
        return
    for first, last in spans:
        if last - first + 1 > FUNCTION_LINES:
            yield source.finding(first, "function-size", f"{last - first + 1} lines; a function fits a screen "
                                                         f"({FUNCTION_LINES})")
