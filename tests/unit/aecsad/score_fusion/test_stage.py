"""The score_fusion stage from files to files: one result with scores, maps, explanations and the fitted fusion."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.aecsad.model.conformal import write_jackknife
from stages.aecsad.model.fusion import fusion_from_json
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps
from stages.aecsad.model.patch_histogram import write_histogram_models
from stages.aecsad.score_fusion.__main__ import main
from stages.core.io.lineage import content_hash, read_lineage
from stages.core.io.maps import AnomalyMaps, write_anomaly_maps
from stages.core.io.result import branch_names, read_result
from stages.core.io.tables import write_images
from stages.core.runtime.wording import describe
from tests.params_files import write_params
from tests.unit.aecsad.layouts import draw

OPTIONS = [
    "--inputs", "inputs", "--label-maps", "labels.npz", "--histogram", "histogram", "--histogram-choice",
    "histogram.json", "--student-teacher", "students", "--review", "review", "--scores", "out",
]  # fmt: skip
SPLITS = ["train"] * 30 + ["validation"] * 4 + ["test"] * 3
IDS = [f"{split}/{number:02d}" for number, split in enumerate(SPLITS)]
SEGMENTATION = {"segmentation": "5e6"}
EXPLANATION = {"min_area": 0.002, "stable_share": 0.95, "area_floor": 0.01, "grid": 4, "kept": 3, "examples": 5}


def write_inputs(*, num_classes: int = 3, mapped: int = 7, weight: float = 1.0) -> None:
    """The last of three test images lacks its component at the lower left; both branches score it highest.

    Args:
        mapped: how many images, the last ones, have an anomaly map.
        weight: of the histogram's column.
    """
    labels = np.stack([draw(seed) for seed in range(len(SPLITS))])
    labels[-1, 40:56, 4:20] = 0
    (Path("inputs") / "images").mkdir(parents=True)
    for number, one in enumerate(labels):
        Image.fromarray(np.repeat(one[:, :, None] * 100, 3, axis=2)).save(f"inputs/images/{number}.png")
    files = [f"{number}.png" for number in range(len(IDS))]
    write_images(Path("inputs"), pd.DataFrame({"image_id": IDS, "file": files, "split": SPLITS}))
    values = labels if num_classes > 1 else np.zeros_like(labels)
    maps = LabelMaps(tuple(IDS), values, num_classes, np.ones(len(IDS), dtype=bool))
    write_label_maps(Path("labels.npz"), maps, made_from=SEGMENTATION)
    table = pd.DataFrame({"image_id": IDS, "split": SPLITS, "histogram_1x1": np.arange(len(IDS), dtype=np.float64)})
    write_histogram_models(Path("histogram/model.npz"), [], made_from=SEGMENTATION)
    table.to_parquet("histogram/scores.parquet")
    rows = pd.DataFrame({"histogram_1x1": [weight] * 4, "histogram_1x1_edit_auroc": 0.9})
    write_jackknife(Path("histogram"), [name for name in IDS if name.startswith("validation")], rows)
    choice = {"weights": {"histogram_1x1": weight}, "num_classes": num_classes, "covered": weight > 0}
    Path("histogram.json").write_text(json.dumps(choice))
    Path("review").mkdir()
    Path("review/review.json").write_text('{"warnings": ["first"]}')
    Path("students").mkdir()
    Path("students/model.safetensors").write_bytes(b"students")
    table.rename(columns={"histogram_1x1": "student_teacher"})[30:].to_parquet("students/scores.parquet")
    heat = np.random.default_rng(0).random((mapped, 8, 8)).astype(np.float16)
    write_anomaly_maps(Path("students/maps"), AnomalyMaps(tuple(IDS[-mapped:]), heat, {"local": heat}))
    section = {
        "histogram_columns": "reliability",
        "branch_weights": {"histogram": 1.0, "student_teacher": 1.0},
        "explanation": EXPLANATION,
    }
    write_params(Path(), {"profile": "p", "seed": 0, "profiles": {"p": {"aecsad": {"score_fusion": section}}}})


def test_the_stage_writes_one_result(here: Path) -> None:
    write_inputs()
    main(OPTIONS)
    result = read_result(here / "out")
    assert sorted(result.scores["image_id"]) == sorted(IDS[30:])  # validation and test, no training image
    assert branch_names(result.scores) == ["histogram", "student_teacher"]
    assert result.scores.set_index("image_id")["score"].idxmax() == "test/36"
    assert result.maps is not None and result.explanations is not None and result.fusion is not None
    assert result.maps.image_ids == tuple(IDS[30:])
    assert list(result.maps.branches) == ["local"]
    assert [branch.name for branch in fusion_from_json(result.fusion).branches] == ["histogram", "student_teacher"]
    found = result.explanations.images["test/36"]
    assert [finding.branch for finding in found] == ["histogram"] * 3 + ["student_teacher"]
    assert describe(found[0], {}) == "component 1 missing: lower left, 3 instead of 4"
    assert set(result.explanations.pictures) == {1, 2}
    with Image.open(io.BytesIO(result.explanations.pictures[1])) as picture:
        assert picture.size == (384, 80)  # five of them, in one row


def test_the_fusion_names_the_parts_that_it_joins(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_inputs()
    main(OPTIONS)
    files = {"histogram": Path("histogram/model.npz"), "student_teacher": Path("students/model.safetensors")}
    hashes = {part: content_hash(path) for part, path in files.items()}
    assert read_lineage(Path("out/fusion.json")) == SEGMENTATION | hashes
    write_histogram_models(files["histogram"], [], made_from={"segmentation": "another"})
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "histogram/model.npz was not made from labels.npz: run `dvc repro`" in caplog.text


def test_without_component_classes_one_branch_and_its_spots_remain(here: Path) -> None:
    write_inputs(num_classes=1, weight=0.0)
    main(OPTIONS)
    result = read_result(here / "out")
    assert branch_names(result.scores) == ["student_teacher"]
    assert result.explanations is not None
    measures = {tuple(one.measure for one in findings) for findings in result.explanations.images.values()}
    assert measures == {("hot_spot",)}
    assert result.explanations.pictures == {}


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_review_warns_where_logical_anomalies_are_not_covered(here: Path, weight: float) -> None:
    write_inputs(weight=weight)
    main(OPTIONS)
    first, *others = json.loads((here / "out/review/review.json").read_text())["warnings"]
    assert first == "first"
    assert [text.split(":")[0] for text in others] == ([] if weight else ["logical anomalies are not covered"])
    assert json.loads((here / "review/review.json").read_text()) == {"warnings": ["first"]}  # another stage's output


def test_a_missing_map_is_named(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_inputs(mapped=6)
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "1 images have no label map or no anomaly map, validation/30 first" in caplog.text
    assert not (here / "out").exists()
