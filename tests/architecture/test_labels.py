"""The DAG shows who may read labels: those who judge or count, and the pool that hands out what is not judged."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.code_dependencies import stage_bodies
from tests.architecture.source_files import ROOT, imports, parse, python_files, stage_of

STAGES = stage_bodies(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8")))
READERS = {("stages", "data_health"), ("stages", "evaluation"), ("stages", "labelled_pool")}
LABELS = re.compile(r"artifacts/split/[^/]+/(truth\.parquet|masks)$")


def depends_on_labels(body: dict[str, Any]) -> bool:
    return any(LABELS.search(re.sub(r"\$\{[^}]*\}", "x", str(entry))) for entry in body["deps"])


@pytest.mark.parametrize("name", STAGES)
def test_only_judges_and_pools_depend_on_labels(name: str) -> None:
    stage = re.match(r"python -m stages\.(\w+)", STAGES[name]["cmd"])
    assert stage is not None
    assert depends_on_labels(STAGES[name]) == (("stages", stage[1]) in READERS), name


def test_no_other_room_can_read_the_truth() -> None:
    found = set()
    for path in python_files(ROOT / "stages"):
        names = {item.name for item in imports(parse(path)) if item.module == "stages.core.io.truth"}
        if "read_truth" in names:
            found.add(stage_of(path.relative_to(ROOT)))
    assert found == READERS


def test_the_pattern() -> None:
    assert depends_on_labels({"deps": ["artifacts/split/${item.category}/truth.parquet"]})
    assert depends_on_labels({"deps": ["artifacts/split/${key}/masks"]})
    assert not depends_on_labels({"deps": [Path("artifacts/split/x/images"), "artifacts/madclip/pool/x"]})
