"""The DAG shows who may read the truth: who judges, and the pools that hand out what is not judged."""

import posixpath
import re
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.code_dependencies import entry_of, stage_bodies
from tests.architecture.source_files import ROOT, imports, package_of, parse, python_files

STAGES = stage_bodies(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8")))
READERS = {("stages", "evaluation"), ("stages", "clip", "labelled_pool")}
WRITER = ("stages", "split")
# The truth itself, the sources whose folders and tables name what is a defect, and all that holds either of them.
LABELS = re.compile(
    r"(artifacts|artifacts/split(/[^/]+(/truth(/.*)?)?)?|artifacts/(download|evaluation)(/.*)?|metrics/.*)$"
)
JUDGED = ("metrics/choices/",)  # what a stage decided without labels
REPORT, EXPORT = ("stages", "report"), ("stages", "export")  # after the evaluation: they change no score
TRUTH = "stages.core.io.truth"


def depends_on_labels(body: dict[str, Any]) -> bool:
    paths = [posixpath.normpath(re.sub(r"\$\{[^}]*\}", "x", str(entry))) for entry in body["deps"]]
    return any(LABELS.match(path) and not path.startswith(JUDGED) for path in paths)


def test_only_judges_and_pools_depend_on_labels() -> None:
    found = {package_of(entry_of(ROOT, body["cmd"])) for body in STAGES.values() if depends_on_labels(body)}
    assert found == READERS | {WRITER, REPORT, EXPORT}


def test_no_other_stage_can_read_the_truth() -> None:
    readers = {
        package_of(path.relative_to(ROOT))
        for path in python_files(ROOT / "stages")
        if any(item.module == TRUTH or item.target == TRUTH for item in imports(parse(path)))
    }
    assert readers == READERS | {WRITER}


def test_methods_get_the_inputs_of_a_split_and_nothing_else_of_it() -> None:
    found = [
        f"{name}: {entry}"
        for name, body in STAGES.items()
        if package_of(entry_of(ROOT, body["cmd"])) not in READERS | {WRITER}
        for entry in map(str, body["deps"])
        if entry.startswith("artifacts/split/") and not re.fullmatch(r"artifacts/split/[^/]+/inputs", entry)
    ]
    assert found == []


def test_the_pattern() -> None:
    assert depends_on_labels({"deps": ["artifacts/split/${item.category}/truth"]})
    assert depends_on_labels({"deps": ["artifacts/split/${key}/truth/masks"]})
    for path in ("artifacts/split/${key}", "./artifacts/split", "artifacts", "artifacts/split/x/inputs/../truth"):
        assert depends_on_labels({"deps": [path]}), path
    for path in ("artifacts/download", "metrics/scores/${key}.csv", "artifacts/evaluation/x"):
        assert depends_on_labels({"deps": [path]}), path
    assert depends_on_labels({"deps": ["artifacts/download/${key}"]})
    assert not depends_on_labels({"deps": [Path("artifacts/split/x/inputs"), "artifacts/madclip/pool/x"]})
