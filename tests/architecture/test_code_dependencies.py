"""Each stage depends on exactly the code it runs, and the checker itself can tell."""

from pathlib import Path

import pytest
import yaml

from tests.architecture.code_dependencies import corrected, listed_code, needed_code, stage_bodies
from tests.architecture.source_files import ROOT

DVC_YAML = ROOT / "dvc.yaml"
STAGES = stage_bodies(yaml.safe_load(DVC_YAML.read_text(encoding="utf-8"))) if DVC_YAML.exists() else {}
REMEDY = "run `python -m tests.architecture.code_dependencies --write`"


def test_there_is_a_map() -> None:
    assert STAGES, "dvc.yaml is missing or has no stages"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_exactly_its_code(name: str) -> None:
    listed, needed = listed_code(STAGES[name]), needed_code(ROOT, STAGES[name]["cmd"])
    assert len(listed) == len(set(listed)), f"{name}: a dependency is listed twice"
    missing, needless = sorted(set(needed) - set(listed)), sorted(set(listed) - set(needed))
    assert not missing, f"{name}: results go stale when {missing} change: {REMEDY}"
    assert not needless, f"{name}: runs for nothing when {needless} change: {REMEDY}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two stages and a chain in core: paint -> colours -> names; unused is reached by nobody."""
    files = {
        "stages/__init__.py": "",
        "stages/core/__init__.py": "",
        "stages/core/colours.py": "import numpy\nfrom stages.core import names\n",
        "stages/core/names.py": "NAMES = ()\n",
        "stages/core/stage.py": "import os\n",
        "stages/core/unused.py": "import os\n",
        "stages/paint/__init__.py": "",
        "stages/paint/__main__.py": "import stages.core.stage\nfrom stages.paint.mix import mix\n",
        "stages/paint/mix.py": "def mix():\n    from stages.core.colours import X\n    return X\n",
        "stages/aecsad/__init__.py": "",
        "stages/aecsad/cluster/__main__.py": "from stages.core.stage import a, b\n",
        "commands/table.py": "from stages.core.names import NAMES\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


PAINT = ["stages/paint", "stages/core/colours.py", "stages/core/names.py", "stages/core/stage.py"]


def test_the_checker_follows_imports_through_core(tree: Path) -> None:
    assert needed_code(tree, "python -m stages.paint --out x") == PAINT
    assert needed_code(tree, "python -m stages.aecsad.cluster") == ["stages/aecsad/cluster", "stages/core/stage.py"]
    assert needed_code(tree, "python -m stages.report.table") == ["stages/report", "stages/core/names.py"]


def test_a_folder_of_core_stands_for_its_files_when_all_are_reached(tree: Path) -> None:
    (tree / "stages/core/ink").mkdir()
    for name, text in {"__init__.py": "", "black.py": "import os\n", "red.py": "import os\n"}.items():
        (tree / "stages/core/ink" / name).write_text(text)
    (tree / "stages/paint/mix.py").write_text("from stages.core.ink import black, red\n")
    both = ["stages/paint", "stages/core/ink", "stages/core/stage.py"]
    assert needed_code(tree, "python -m stages.paint") == both
    (tree / "stages/core/ink/blue.py").write_text("import os\n")  # not reached: the folder would be too much
    one_by_one = ["stages/paint", "stages/core/ink/black.py", "stages/core/ink/red.py", "stages/core/stage.py"]
    assert needed_code(tree, "python -m stages.paint") == one_by_one


@pytest.mark.parametrize(
    "command", ["bash run.sh", "python -m pytest", "python -m stages", "cd x && python -m stages.a"]
)
def test_the_checker_refuses_what_is_no_room(tree: Path, command: str) -> None:
    with pytest.raises(LookupError, match="does not run a stage"):
        needed_code(tree, command)


def test_the_checker_refuses_an_import_that_leads_nowhere(tree: Path) -> None:
    (tree / "stages/paint/mix.py").write_text("import os\nfrom stages.core.gone import x\n")
    with pytest.raises(LookupError, match=r"stages/paint/mix\.py:2: imports stages\.core\.gone"):
        needed_code(tree, "python -m stages.paint")


BEFORE = """\
# the map
stages:
  paint:  # first
    foreach: ${categories}
    do:
      cmd: python -m stages.paint --image ${key}
      deps:
        - stages/paint
        # why this one
        - stages/core/stage.py  # kept
        - stages/core/unused.py
        - artifacts/${key}: {cache: false}
        - data/x
      outs: [a]
  cluster:
    cmd: >-
      python -m stages.aecsad.cluster
      --in x
    deps:
    - data/y  # not code
    - stages/core/unused.py
"""
AFTER = """\
# the map
stages:
  paint:  # first
    foreach: ${categories}
    do:
      cmd: python -m stages.paint --image ${key}
      deps:
        - stages/paint
        # why this one
        - stages/core/stage.py  # kept
        - stages/core/colours.py
        - stages/core/names.py
        - artifacts/${key}: {cache: false}
        - data/x
      outs: [a]
  cluster:
    cmd: >-
      python -m stages.aecsad.cluster
      --in x
    deps:
    - stages/aecsad/cluster
    - stages/core/stage.py
    - data/y  # not code
"""


def test_writing_changes_code_lines_only_and_once(tree: Path) -> None:
    assert corrected(BEFORE, tree) == AFTER
    assert corrected(AFTER, tree) == AFTER


def test_writing_refuses_a_list_on_one_line(tree: Path) -> None:
    with pytest.raises(ValueError, match="stage paint: `deps` must be a list with one entry a line"):
        corrected("stages: {paint: {cmd: python -m stages.paint, deps: [a]}}\n", tree)


def test_missing_and_needless_are_told_apart(tree: Path) -> None:
    body = stage_bodies(yaml.safe_load(BEFORE))["paint"]
    assert set(PAINT) - set(listed_code(body)) == {"stages/core/colours.py", "stages/core/names.py"}
    assert set(listed_code(body)) - set(PAINT) == {"stages/core/unused.py"}
