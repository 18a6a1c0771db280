"""Each stage depends on exactly the code it runs, its folder holds nothing else, and the checker itself can tell."""

from pathlib import Path

import pytest
import yaml

from tests.architecture.code_dependencies import corrected, entry_of, listed_code, needed_code, stage_bodies
from tests.architecture.source_files import ROOT, package_of, python_files, reached

STAGES = stage_bodies(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8")))
REMEDY = "run `python -m tests.architecture.code_dependencies --write`"


def test_stages_list_exactly_their_code() -> None:
    found = []
    for name, body in STAGES.items():
        listed, needed = listed_code(body), needed_code(ROOT, body["cmd"])
        found += [f"{name}: lists {path} twice" for path in set(listed) if listed.count(path) > 1]
        found += [f"{name}: results go stale when {path} changes" for path in set(needed) - set(listed)]
        found += [f"{name}: runs for nothing when {path} changes" for path in set(listed) - set(needed)]
    assert len(STAGES) > 20
    assert found == [], REMEDY


def test_no_module_can_change_without_its_stages_running_again() -> None:
    """Module by module, whatever the folders in dvc.yaml are: every file that a stage runs is below one of its deps."""
    found = [
        f"{name}: {path} is run but not a dependency"
        for name, body in STAGES.items()
        for path in sorted(reached(ROOT, entry_of(ROOT, body["cmd"])))
        if not any(path.is_relative_to(folder) for folder in listed_code(body))
    ]
    assert found == []


def test_a_stage_folder_holds_only_what_its_entry_reaches() -> None:
    """Else the edit of a module that the stage never runs would rerun it."""
    entries = {entry_of(ROOT, body["cmd"]) for body in STAGES.values()}
    run = {entry: reached(ROOT, entry) for entry in entries}
    found = [
        f"{path} is not reached from {entry}"
        for entry in sorted(entries)
        for file in python_files(ROOT / Path(*package_of(entry)))
        if (path := file.relative_to(ROOT)) not in run[entry] and file.stat().st_size
    ]
    everything = {path for files in run.values() for path in files}
    found += [
        f"{path} is run by no stage"
        for file in python_files(ROOT / "stages")
        if (path := file.relative_to(ROOT)) not in everything and file.stat().st_size
    ]
    assert sorted(set(found)) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two stages; paint reaches core/ink through its own module, cluster its method's model and core/run."""
    files = {
        "stages/__init__.py": "",
        "stages/core/__init__.py": "",
        "stages/core/ink/colours.py": "import numpy\nfrom stages.core.ink import names\n",
        "stages/core/ink/names.py": "NAMES = ()\n",
        "stages/core/run/stage.py": "import os\n",
        "stages/core/unused/box.py": "import os\n",
        "stages/paint/__init__.py": "",
        "stages/paint/__main__.py": "import stages.core.run.stage\nfrom stages.paint.mix import mix\n",
        "stages/paint/mix.py": "def mix():\n    from stages.core.ink.colours import X\n    return X\n",
        "stages/aecsad/__init__.py": "",
        "stages/aecsad/model/net.py": "import os\n",
        "stages/aecsad/cluster/__main__.py": "from stages.core.run import stage\nfrom stages.aecsad.model import net\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


PAINT = ["stages/paint", "stages/core"]
CLUSTER = ["stages/aecsad/cluster", "stages/aecsad/model", "stages/core"]


def test_the_checker_follows_imports_through_layers(tree: Path) -> None:
    assert needed_code(tree, "python -m stages.paint --out x") == PAINT
    assert needed_code(tree, "python -m stages.aecsad.cluster") == CLUSTER
    (tree / "stages/paint/left.py").write_text("import os\n")
    assert Path("stages/paint/left.py") not in reached(tree, Path("stages/paint/__main__.py"))


@pytest.mark.parametrize(
    "command",
    ["bash run.sh", "python -m pytest", "python -m stages", "cd x && python -m stages.a", "python -m stages.b"],
)
def test_the_checker_refuses_what_is_no_stage(tree: Path, command: str) -> None:
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
        - stages/core  # kept
        - stages/split
        - artifacts/${key}: {cache: false}
        - data/x
      outs: [a]
  cluster:
    cmd: >-
      python -m stages.aecsad.cluster
      --in x
    deps:
    - data/y  # not code
    - stages/paint
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
        - stages/core  # kept
        - artifacts/${key}: {cache: false}
        - data/x
      outs: [a]
  cluster:
    cmd: >-
      python -m stages.aecsad.cluster
      --in x
    deps:
    - stages/aecsad/cluster
    - stages/aecsad/model
    - stages/core
    - data/y  # not code
"""


def test_writing_changes_code_lines_only_and_once(tree: Path) -> None:
    assert corrected(BEFORE, tree) == AFTER
    assert corrected(AFTER, tree) == AFTER


def test_writing_refuses_a_list_on_one_line(tree: Path) -> None:
    with pytest.raises(ValueError, match="stage paint: `deps` must be a list with one entry a line"):
        corrected("stages: {paint: {cmd: python -m stages.paint, deps: [a]}}\n", tree)


def test_missing_and_needless_are_told_apart() -> None:
    bodies = stage_bodies(yaml.safe_load(BEFORE))
    assert set(CLUSTER) - set(listed_code(bodies["cluster"])) == set(CLUSTER)
    assert set(listed_code(bodies["paint"])) - set(PAINT) == {"stages/split"}
