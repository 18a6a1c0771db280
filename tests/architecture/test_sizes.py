"""Modules and functions stay short enough to read in one go."""

import ast
from pathlib import Path

from tests.architecture.source_files import ROOT, parse, python_files

MODULE_LINES, FUNCTION_LINES, ENTRY_LINES = 400, 40, 25
FOLDERS = ("oddpart", "stages", "commands", "flows", "tests", "benchmarks")
FILES = [path.relative_to(ROOT) for folder in FOLDERS for path in python_files(ROOT / folder)]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: equations and sources must not be cut to fit."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def functions(path: Path) -> list[Function]:
    return [node for node in ast.walk(parse(ROOT / path)) if isinstance(node, Function)]


def test_modules_are_not_too_long() -> None:
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > MODULE_LINES} == {}, "divide them by concept"


def test_functions_are_not_too_long() -> None:
    lengths = {f"{path}:{f.lineno} {f.name}": code_lines(f) for path in FILES for f in functions(path)}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_entry_points_are_a_list_of_steps() -> None:
    """Paths, params, read, compute, write: at most 25 lines and no loop."""
    found = []
    for path in FILES:
        if path.name != "__main__.py" or path.parts[0] != "stages":
            continue
        (main,) = [function for function in functions(path) if function.name == "main"]
        if code_lines(main) > ENTRY_LINES:
            found.append(f"{path}: main has {code_lines(main)} lines")
        found += [f"{path}:{node.lineno}: loop" for node in ast.walk(main) if isinstance(node, ast.For | ast.While)]
    assert found == []


def says_nothing(given: ast.arg) -> bool:
    return given.annotation is None or ast.unparse(given.annotation).split(".")[-1] == "Any"


def test_no_module_is_a_drawer() -> None:
    """A name says what is in a module."""
    assert [path for path in FILES if path.stem in ("utils", "util", "helpers", "common", "misc")] == []


def test_nothing_is_passed_on_without_a_name() -> None:
    """`**options: Any` hides what a function takes from readers and from the type checker."""
    found = [
        f"{path}:{function.lineno} {function.name}: *{given.arg}"
        for path in FILES
        if path.parts[0] in ("stages", "commands")
        for function in functions(path)
        if not function.name.startswith("_")  # a library's own method, in another library's words
        for given in (function.args.vararg, function.args.kwarg)
        if given is not None and given.arg.strip("_") and says_nothing(given)
    ]
    assert found == []


def test_a_docstring_does_not_count() -> None:
    (function,) = ast.parse('def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    return a\n').body
    assert isinstance(function, Function)
    assert code_lines(function) == 4
