"""A stage imports itself and core, core imports core; nothing relative, starred or dynamic."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source_files import METHOD_FOLDERS, ROOT, imports, parse, python_files, stage_of

MODULES = [path.relative_to(ROOT) for path in python_files(ROOT / "stages")]
CORE = ("stages", "core")
DYNAMIC = {"__import__", "import_module", "exec", "eval", "run_module", "run_path"}


def violations(root: Path, path: Path) -> list[str]:
    """What a module imports against the rules, one message each."""
    tree, own, found = parse(root / path), stage_of(path), []
    for item in imports(tree):
        where = f"{path}:{item.line}"
        if item.level:
            found.append(f"{where}: relative import of {item.module}")
        if item.name == "*":
            found.append(f"{where}: star import of {item.module}")
        target = item.module if item.name is None else f"{item.module}.{item.name}"
        if item.module.split(".")[0] in ("flows", "tests"):
            found.append(f"{where}: {own} imports {item.module}")
        if item.module.split(".")[0] == "stages" and stage_of(Path(*target.split("."))) not in (own, CORE):
            found.append(f"{where}: {'.'.join(own)} imports {target} of another stage")
    for node in ast.walk(tree):
        name = called_name(node)
        if name in DYNAMIC:
            found.append(f"{path}:{node.lineno}: dynamic import or code by {name}")  # type: ignore[attr-defined]
    return found


def called_name(node: ast.AST) -> str | None:
    """The last name of what is called: "import_module" of importlib.import_module(...); methods named eval are free."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr not in ("eval", "exec"):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_stay_in_the_room_and_core(path: Path) -> None:
    assert violations(ROOT, path) == []


@pytest.mark.parametrize("folder", ["", "core", *METHOD_FOLDERS])
def test_files_outside_rooms_are_empty(folder: str) -> None:
    """Importing a stage runs them, and no stage depends on them."""
    for path in (
        (ROOT / "stages" / folder).glob("*.py") if folder != "core" else ROOT.glob("stages/core/**/__init__.py")
    ):
        assert path.name == "__init__.py", f"{path} lies beside the stages"
        assert path.stat().st_size == 0, f"{path} must be empty"


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("stages/split/a.py", "from stages.download.b import c", "stages.split imports stages.download.b.c of another"),
        ("stages/core/a.py", "import stages.split.b", "stages.core imports stages.split.b of another"),
        ("stages/aecsad/cluster/a.py", "from stages.aecsad.histogram.b import c", "of another stage"),
        ("stages/aecsad/cluster/a.py", "from stages.aecsad import histogram", "of another stage"),
        ("stages/split/a.py", "from . import b", "relative"),
        ("stages/split/a.py", "from stages.core.b import *", "star"),
        ("stages/split/a.py", "def f():\n    import stages.report", "of another stage"),
        ("stages/split/a.py", "import importlib\nimportlib.import_module('stages.report')", "dynamic"),
        ("stages/split/a.py", "x = __import__('os')", "dynamic"),
        ("stages/split/a.py", "import tests.unit", "imports tests.unit"),
    ],
)
def test_the_checker_sees_what_is_forbidden(tmp_path: Path, path: str, line: str, message: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(line)
    assert message in violations(tmp_path, Path(path))[0]


@pytest.mark.parametrize(
    "line", ["from stages.core.b import c", "from stages.split.b import c", "import torch", "model.eval()"]
)
def test_the_checker_lets_pass_what_is_allowed(tmp_path: Path, line: str) -> None:
    (tmp_path / "stages/split").mkdir(parents=True)
    (tmp_path / "stages/split/a.py").write_text(line)
    assert violations(tmp_path, Path("stages/split/a.py")) == []


FLOWS = [path.relative_to(ROOT) for path in python_files(ROOT / "flows")]
LENT_TO_FLOWS = (
    "stages.core.run.errors",
    "stages.core.run.atomic",
    "stages.core.run.stage",
)  # of core; no model code
DVC_INTERNALS = Path("flows/pipeline.py")


@pytest.mark.parametrize("path", FLOWS, ids=str)
def test_flows_hold_no_model_code_and_one_module_knows_dvc_from_inside(path: Path) -> None:
    for item in imports(parse(ROOT / path)):
        package = item.module.split(".")[0]
        assert package != "stages" or item.module in LENT_TO_FLOWS, f"{path}:{item.line} imports {item.module}"
        assert package != "dvc" or path == DVC_INTERNALS, f"{path}:{item.line}: only {DVC_INTERNALS} imports DVC"
        assert package not in ("torch", "numpy", "tests", "benchmarks"), f"{path}:{item.line} imports {item.module}"


@pytest.mark.parametrize(
    "name", ["plan", "progress", "grouping", "schedule", "slots", "faults", "judge", "batch", "clone_lock"]
)
def test_the_logic_of_flows_needs_no_prefect(name: str) -> None:
    found = {item.module.split(".")[0] for item in imports(parse(ROOT / "flows" / f"{name}.py"))}
    assert not found & {"prefect", "dvc"}
