"""Modules and functions stay short enough to read in one go."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source_files import ROOT, parse, python_files

MODULE_LINES, FUNCTION_LINES, ENTRY_LINES = 250, 40, 25
FILES = [path.relative_to(ROOT) for folder in ("stages", "flows", "tests") for path in python_files(ROOT / folder)]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: equations and sources must not be cut to fit."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_lengths(path: Path) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES, f"{path} has {lines} lines: divide it by concept"
    functions = [node for node in ast.walk(parse(ROOT / path)) if isinstance(node, Function)]
    long = {f"{path}:{f.lineno} {f.name}": code_lines(f) for f in functions if code_lines(f) > FUNCTION_LINES}
    assert not long, f"functions of more than {FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__main__.py"], ids=str)
def test_entry_points_are_a_list_of_steps(path: Path) -> None:
    """Paths, params, read, compute, write: at most 25 lines and no loop."""
    (main,) = [node for node in parse(ROOT / path).body if isinstance(node, Function) and node.name == "main"]
    assert code_lines(main) <= ENTRY_LINES, f"{path}: main has {code_lines(main)} lines, at most {ENTRY_LINES}"
    loops = [node for node in ast.walk(main) if isinstance(node, ast.For | ast.While)]
    assert not loops, f"{path}:{loops[0].lineno}: main has a loop"


def test_a_docstring_does_not_count() -> None:
    (function,) = ast.parse('def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    return a\n').body
    assert isinstance(function, Function)
    assert code_lines(function) == 4
