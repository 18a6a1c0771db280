"""Bundles of what is off by default: methods of one graph, and the published students, through the stage itself."""

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

import oddpart
from stages.core.runtime.verifying import verify
from stages.sir.features.__main__ import main as sir_features
from stages.sir.scores.__main__ import main as sir_scores
from stages.sir.specialised.__main__ import main as sir_specialised
from stages.sir.universal.__main__ import main as sir_universal
from stages.uninformed_students.__main__ import main as uninformed_students
from tests.params_files import change_params, read_params
from tests.unit.commands.predict.case import INPUTS, fuse, judge, train_students
from tests.unit.export.conftest import check_verdicts, export
from tests.unit.sir.case import PARAMS as SIR
from tests.unit.uninformed_students.case import PARAMS as STUDENTS

SIDE = 64
SPECIALISED, UNIVERSAL = "sir_full_shot_specialised", "sir_one_shot_universal"
METHODS = ("aecsad", "uninformed_students", UNIVERSAL, SPECIALISED)
RESIZED: list[dict[str, Any]] = [
    {"name": "Resize", "size": SIDE},
    {"name": "ToImage"},
    {"name": "Normalize", "mean": [0.498] * 3, "std": [0.502] * 3},
]
CHANGES: dict[str, Any] = {  # as profile embedded, where that decides how scores are made
    "uninformed_students.backbone.stages": [2, 3],
    "uninformed_students.teacher": {"kind": "backbone"},
    "uninformed_students.students.training.iterations": 3,
    "uninformed_students.students.augmentation": RESIZED,
    "uninformed_students.inference": RESIZED,
    "uninformed_students.normalization": "cells",
    "sir.training.one_shot.iterations": 3,
    "sir.training.full_shot.iterations": 3,
    "sir.maps.normalization": "cells",
    "aecsad.student_teacher.global_student.attention": False,  # CSAD
    "aecsad.student_teacher.global_student.bottleneck": True,
}


def train_csad() -> None:
    """Train CSAD's students, and fuse them."""
    shutil.rmtree("artifacts/aecsad/student_teacher")
    train_students()
    fuse()


def score_by_students() -> None:
    """Run the stage uninformed_students."""
    uninformed_students(["--inputs", str(INPUTS), "--scores", "artifacts/scores/part/uninformed_students",
                         "--model", "students.safetensors", "--curve", "students.csv"])  # fmt: skip


def score_by_sir() -> None:
    """Run the stages of SIR for a model of one image and one of all."""
    sir_features(["--inputs", str(INPUTS), "--category", "part", "--features", "features/part"])
    for method, train, of in (
        (UNIVERSAL, sir_universal, ["--features", "features"]),
        (SPECIALISED, sir_specialised, ["--features", "features/part", "--category", "part"]),
    ):
        model = f"{method}.safetensors"
        train([*of, "--method", method, "--model", model, "--choice", f"{method}.json", "--curve", f"{method}.csv"])
        scored = ["--model", model, "--scores", f"artifacts/scores/part/{method}"]
        sir_scores(["--inputs", str(INPUTS), "--category", "part", *scored])


@pytest.fixture(scope="module")
def bundles(trained_part: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the bundles; the current one has the product."""
    root = tmp_path_factory.mktemp("others")
    shutil.copytree(trained_part, root, dirs_exist_ok=True)
    for folder in ("artifacts/evaluation", "artifacts/scores", "m"):
        shutil.rmtree(root / folder)
    sections = {"sir": SIR, "uninformed_students": STUDENTS}
    change_params(root, {f"profiles.tiny.{name}": one["profiles"]["smoke"][name] for name, one in sections.items()})
    change_params(root, {f"profiles.tiny.{key}": value for key, value in CHANGES.items()})
    aecsad = read_params(root)["methods"]["aecsad"]
    everywhere: dict[str, Any] = {"categories": {"part": {}}}
    sir = everywhere | {"universal": [UNIVERSAL], "specialised": [SPECIALISED]}
    methods = {"aecsad": aecsad, "uninformed_students": everywhere, "sir": sir}
    change_params(root, {"methods": methods, "categories": {"part": {"source": "sample"}, "bar": {}}})
    change_params(root, {"export": {"categories": {"part": {}}}})
    with chdir(root):
        train_csad()
        score_by_students()
        score_by_sir()
        judge()
        export()
        yield root / "artifacts/export/part"


@pytest.mark.parametrize("method", METHODS)
def test_a_bundle_scores_every_image_as_the_pipeline(bundles: Path, method: str) -> None:
    bundle = oddpart.load(bundles / method)
    check_verdicts(bundle)
    assert len(list(verify(bundle))) == 3
    graphs = {path.name for path in (bundles / method).glob("*.onnx")}
    assert ("scorer.onnx" in graphs) == (method != "aecsad")
