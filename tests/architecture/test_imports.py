"""Imports only point down: commands and flows -> stages of a method -> its model -> core -> nothing of ours."""

import ast
import subprocess
import sys
from pathlib import Path

from tests import table
from tests.architecture.source_files import (
    CORE,
    FAMILIES,
    ROOT,
    WITHOUT_TORCH,
    Import,
    imports,
    package_of,
    parse,
    python_files,
)

# They run code that no import shows.
HIDING = ("importlib", "runpy", "subprocess", "multiprocessing")
HARMLESS = ("importlib.util", "importlib.metadata", "importlib.resources")
DYNAMIC = {"__import__", "import_module", "exec", "eval", "run_module", "run_path"}
ABOVE = ("commands", "flows", "benchmarks", "tests")  # what no stage may import
EXPORT = ("stages", "export")
# Lower first: a layer of core imports those before it.
LAYERS = ("runtime", "run", "io", "images", "encoder", "neighbours", "training")


def violations(root: Path, path: Path) -> list[str]:
    """What a module below stages/ imports against the rules, one message each."""
    tree, own = parse(root / path), package_of(path)
    found = [f"{path}:{item.line}: {problem}" for item in imports(tree) if (problem := problem_of(own, item))]
    for node in ast.walk(tree):
        name = called_name(node)
        if name in DYNAMIC:
            found.append(f"{path}:{node.lineno}: dynamic import or code by {name}")  # type: ignore[attr-defined]
    return found


def problem_of(own: tuple[str, ...], item: Import) -> str | None:
    """Why a package must not import this, None where it may."""
    if item.level:
        return f"relative import of {item.module}"
    if item.name == "*":
        return f"star import of {item.module}"
    first = item.module.split(".")[0]
    if first in HIDING and not item.target.startswith(HARMLESS):
        return f"{item.target} runs code that no import shows"
    if first in ABOVE:
        return f"{'.'.join(own)} imports {item.module} from above"
    if first != "stages":
        return None
    target = package_of(Path(*item.target.split(".")))
    if own == EXPORT and target[2:] == ("model",):
        return None  # it exports the networks of every method
    if target == own or (target[:2] == CORE and own[:2] != CORE) or target == (*own[:2], "model"):
        return None
    if own[:2] == CORE and target[:2] == CORE:
        lower = LAYERS.index(target[2]) < LAYERS.index(own[2])
        return None if lower else f"{'.'.join(own)} imports {item.target} of a layer that is not below"
    return f"{'.'.join(own)} imports {item.target} of another stage"


def called_name(node: ast.AST) -> str | None:
    """The last name of what is called: "import_module" of importlib.import_module(...); methods named eval are free."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr not in ("eval", "exec"):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def test_imports_point_down() -> None:
    modules = [path.relative_to(ROOT) for path in python_files(ROOT / "stages")]
    assert len(modules) > 100
    assert [violation for path in modules for violation in violations(ROOT, path)] == []


def test_core_holds_what_two_or_more_methods_use() -> None:
    """What one method alone uses belongs to it. Other layers of core and commands count as users."""
    used_by: dict[str, set[str]] = {}
    for path in [file for folder in ("stages", "commands", "oddpart") for file in python_files(ROOT / folder)]:
        for item in imports(parse(path)):
            if item.module.startswith("stages.core."):
                used_by.setdefault(item.module, set()).add("/".join(package_of(path.relative_to(ROOT))[:2]))
    alone = {module: users for module, users in used_by.items() if len(users) == 1 and users != {"stages/core"}}
    assert alone == {}


def test_packages_are_empty_files_beside_no_module() -> None:
    """Importing a stage runs the `__init__.py` above it, and no stage depends on those."""
    found = [
        f"{path.relative_to(ROOT)} must be empty" for path in ROOT.glob("stages/**/__init__.py") if path.stat().st_size
    ]
    for folder in ("", "core", *FAMILIES):
        found += [
            f"{path.relative_to(ROOT)} belongs to no stage"
            for path in (ROOT / "stages" / folder).glob("*.py")
            if path.name != "__init__.py"
        ]
    assert found == []


def test_the_checker_sees_what_is_forbidden(tmp_path: Path) -> None:
    def check(path: str, line: str, message: str) -> None:
        folder = table.new_folder(tmp_path)
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(line)
        assert message in violations(folder, Path(path))[0]

    rows = [
        ("stages/split/a.py", "from stages.download.b import c", "stages.split imports stages.download.b.c of another"),
        ("stages/core/io/a.py", "import stages.split.b", "stages.core.io imports stages.split.b of another"),
        ("stages/core/io/a.py", "from stages.core.images.b import c", "of a layer that is not below"),
        ("stages/core/runtime/a.py", "from stages.core.run.b import c", "of a layer that is not below"),
        ("stages/export/a.py", "from stages.aecsad.cluster.b import c", "of another stage"),
        ("stages/aecsad/cluster/a.py", "from stages.aecsad.histogram.b import c", "of another stage"),
        ("stages/aecsad/cluster/a.py", "from stages.sir.model.b import c", "of another stage"),
        ("stages/aecsad/model/a.py", "from stages.aecsad.cluster.b import c", "of another stage"),
        ("stages/aecsad/cluster/a.py", "from stages.aecsad import histogram", "of another stage"),
        ("stages/split/a.py", "from . import b", "relative"),
        ("stages/split/a.py", "from stages.core.b import *", "star"),
        ("stages/split/a.py", "def f():\n    import stages.report", "of another stage"),
        ("stages/split/a.py", "import importlib\nimportlib.import_module('stages.report')", "runs code that"),
        ("stages/split/a.py", "x = __import__('os')", "dynamic"),
        ("stages/split/a.py", "from importlib import import_module as load", "runs code that no import shows"),
        ("stages/split/a.py", "import subprocess", "runs code that no import shows"),
        ("stages/split/a.py", "from commands.predict import b", "imports commands.predict from above"),
    ]
    assert table.violations(check, rows) == []


def test_the_checker_lets_pass_what_is_allowed(tmp_path: Path) -> None:
    def check(path: str, line: str) -> None:
        folder = table.new_folder(tmp_path)
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(line)
        assert violations(folder, Path(path)) == []

    rows = [
        ("stages/split/a.py", "from stages.core.io.b import c"),
        ("stages/split/a.py", "from stages.split.b import c"),
        ("stages/split/a.py", "import torch"),
        ("stages/split/a.py", "model.eval()"),
        ("stages/sir/universal/a.py", "from stages.sir.model.b import c"),
        ("stages/core/encoder/a.py", "from stages.core.images.b import c"),
        ("stages/core/io/a.py", "from stages.core.runtime.b import c"),
        ("stages/export/a.py", "from stages.aecsad.model.b import c"),
    ]
    assert table.violations(check, rows) == []


def test_no_module_of_tests_is_imported_by_another() -> None:
    """What several need stands in a module of its own, or is a fixture."""
    found = [
        f"{path.relative_to(ROOT)}:{item.line} imports {item.module}"
        for path in python_files(ROOT / "tests")
        for item in imports(parse(path))
        if item.module.startswith("tests.") and ".test_" in item.module
    ]
    assert found == []


def test_commands_are_imported_by_no_stage_and_no_flow() -> None:
    """But for the rows of a comparison: a flow runs `oddpart compare` in a clone and reads the JSON it wrote."""
    found = [
        f"{path.relative_to(ROOT)}:{item.line} imports {item.module}"
        for folder in ("stages", "flows")
        for path in python_files(ROOT / folder)
        for item in imports(parse(path))
        if item.module.split(".")[0] == "commands" and item.module != "commands.compare.rows"
    ]
    assert found == []


# What judges new pictures on a line installs nothing else; the last two are asked for when a picture needs them.
OF_THE_RUNTIME = {"numpy", "PIL", "onnxruntime", "pydicom", "cv2"}


def test_the_runtime_needs_three_packages() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in [*python_files(ROOT / "stages/core/runtime"), *python_files(ROOT / "oddpart")]
        for line, module in imported_when_run(parse(path))
        if (top := module.split(".")[0]) not in OF_THE_RUNTIME | {"stages"} | sys.stdlib_module_names
        or (top == "stages" and not module.startswith("stages.core.runtime"))
    ]
    assert found == []


def imported_when_run(tree: ast.Module) -> list[tuple[int, str]]:
    """Lines and modules of the imports that are not for the type checker alone."""
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {item.line for node in typing for item in imports(ast.Module(node.body, []))}
    return [(item.line, item.module) for item in imports(tree) if item.line not in skipped]


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "scipy", "pandas", "cv2", "pydantic", "jaxtyping", "pydicom", "rich")
    code = f"import sys, oddpart\nprint(sorted(set({heavy}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


WITHOUT_TIMM = ("aecsad.pseudo_label", "aecsad.cluster", "aecsad.segmentation", "aecsad.hybrid_fusion", "patchcore")
HEAVY = ("timm", "torchvision", "transformers", "segment_anything", "groundingdino", "pycocotools")


def test_stages_do_not_wait_for_heavy_libraries() -> None:
    """Each takes seconds to import, for every stage of every product, and those of `foundation` may be missing."""
    lines = ["import sys"]
    for stages, heavy in ((WITHOUT_TORCH, ("torch", *HEAVY)), (WITHOUT_TIMM, HEAVY)):
        lines += [f"import stages.{stage}.__main__" for stage in stages]
        lines += [f"print(sorted(set({heavy}) & set(sys.modules)))"]
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["[]", "[]"]
    assert result.stderr == ""
