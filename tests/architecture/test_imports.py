"""A room imports itself and core, core imports core; nothing relative, starred or dynamic."""

import ast
from pathlib import Path

import pytest
import yaml

from tests.architecture.source_files import METHOD_FOLDERS, ROOT, imports, parse, python_files, room_of

MODULES = [path.relative_to(ROOT) for path in python_files(ROOT / "stages")]
CORE = ("stages", "core")
DYNAMIC = {"__import__", "import_module", "exec", "eval", "run_module", "run_path"}


def violations(root: Path, path: Path) -> list[str]:
    """What a module imports against the rules, one message each."""
    tree, own, found = parse(root / path), room_of(path), []
    for item in imports(tree):
        where = f"{path}:{item.line}"
        if item.level:
            found.append(f"{where}: relative import of {item.module}")
        if item.name == "*":
            found.append(f"{where}: star import of {item.module}")
        target = item.module if item.name is None else f"{item.module}.{item.name}"
        if item.module.split(".")[0] in ("flows", "tests"):
            found.append(f"{where}: {own} imports {item.module}")
        if item.module.split(".")[0] == "stages" and room_of(Path(*target.split("."))) not in (own, CORE):
            found.append(f"{where}: {'.'.join(own)} imports {target} of another room")
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
    """Importing a room runs them, and no stage depends on them."""
    for path in (
        (ROOT / "stages" / folder).glob("*.py") if folder != "core" else ROOT.glob("stages/core/**/__init__.py")
    ):
        assert path.name == "__init__.py", f"{path} lies beside the rooms"
        assert path.stat().st_size == 0, f"{path} must be empty"


@pytest.mark.parametrize(
    ("path", "line", "message"),
    [
        ("stages/split/a.py", "from stages.download.b import c", "stages.split imports stages.download.b.c of another"),
        ("stages/core/a.py", "import stages.split.b", "stages.core imports stages.split.b of another"),
        ("stages/aecsad/cluster/a.py", "from stages.aecsad.histogram.b import c", "of another room"),
        ("stages/aecsad/cluster/a.py", "from stages.aecsad import histogram", "of another room"),
        ("stages/split/a.py", "from . import b", "relative"),
        ("stages/split/a.py", "from stages.core.b import *", "star"),
        ("stages/split/a.py", "def f():\n    import stages.report", "of another room"),
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


LENT_TO_FLOWS = {  # of core; no model code
    f"stages.core.running.{name}" for name in ("errors", "atomic", "stage", "dvc_process")
}
DVC_INTERNALS = "flows/dvc/pipeline.py"
NEVER_IN_FLOWS = ("torch", "numpy", "tests", "benchmarks")
LOGIC_OF_FLOWS = (
    "schedule/plan", "schedule/progress", "schedule/loop", "site/slots", "site/clone", "dvc/batch", "dvc/batch_size",
    "publish/verdict",
)  # fmt: skip
NAMED_IN_PREFECT_YAML = {f"{flow}.py" for flow in ("nightly", "reproduce", "distribute", "shard", "janitor")}


def imported_by_flows() -> list[tuple[str, int, str]]:
    """File, line and module of every import below flows/."""
    return [
        (path.relative_to(ROOT).as_posix(), item.line, item.module)
        for path in python_files(ROOT / "flows")
        for item in imports(parse(path))
    ]


def test_flows_hold_no_model_code_and_one_module_uses_dvcs_internals() -> None:
    found = []
    for file, line, module in imported_by_flows():
        package = module.split(".")[0]
        if package in NEVER_IN_FLOWS or (package == "stages" and module not in LENT_TO_FLOWS):
            found.append(f"{file}:{line} imports {module}")
        if package == "dvc" and file != DVC_INTERNALS:
            found.append(f"{file}:{line} imports {module}: only {DVC_INTERNALS} does")
    assert found == []


def test_the_logic_of_flows_needs_neither_prefect_nor_dvc() -> None:
    logic = {f"flows/{name}.py" for name in LOGIC_OF_FLOWS}
    assert logic <= {path.relative_to(ROOT).as_posix() for path in python_files(ROOT / "flows")}
    found = [
        f"{file}:{line} imports {module}"
        for file, line, module in imported_by_flows()
        if file in logic and module.split(".")[0] in ("prefect", "dvc")
    ]
    assert found == []


def test_the_top_of_flows_holds_what_prefect_yaml_and_make_serve_name() -> None:
    """Entry points are modules: for a file Prefect puts flows/ on the path, where dvc and git hide the real ones."""
    entries = {
        deployment["entrypoint"] for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    assert entries == {f"flows.{name[:-3]}.{name[:-3]}" for name in NAMED_IN_PREFECT_YAML}
    assert {path.name for path in (ROOT / "flows").glob("*.py")} == NAMED_IN_PREFECT_YAML | {"__init__.py", "serve.py"}
