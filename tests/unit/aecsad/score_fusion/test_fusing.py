"""The normalization stage: joins by image_id, leaves branches out, writes what every method ends in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.model.fusion import fusion_from_json
from stages.aecsad.score_fusion.__main__ import main
from stages.core.io.explanations import read_explanations, write_explanations
from stages.core.io.maps import read_anomaly_maps, write_anomaly_maps
from stages.core.io.result import branch_names, read_scores
from tests.params_files import write_params

BOTH = {"histogram": 1.0, "student_teacher": 1.0}
VALIDATION = [f"v{n}" for n in range(9)]
TEST = ["t0", "t1"]


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder has the default params.yaml."""
    monkeypatch.chdir(tmp_path)
    set_params()


def set_params(*, columns: str = "reliability", weights: dict[str, float] = BOTH) -> None:
    section = {"histogram_columns": columns, "branch_weights": weights}
    params = {"profile": "tiny", "profiles": {"tiny": {"aecsad": {"normalization": section}}}}
    write_params(Path(), params)


def write_inputs(root: Path, weights: dict[str, float], *, student_ids: list[str] | None = None) -> list[str]:
    """Nine validation images with scores 0..8 in both branches, and two test images; the rows are in other orders."""
    ids = [*VALIDATION, *TEST]
    splits = ["validation"] * 9 + ["test"] * 2
    histogram = pd.DataFrame({"image_id": ids, "split": splits, "histogram_1x1": [*np.arange(9.0), 4.0, 10.0]})
    histogram["histogram_2x2"] = 3 * histogram["histogram_1x1"] + 7
    extra = pd.DataFrame({"image_id": ["n0"], "split": ["train"], "histogram_1x1": [0.0], "histogram_2x2": [0.0]})
    pd.concat([histogram[::-1], extra]).to_parquet(root / "histogram.parquet")
    student = pd.DataFrame({"image_id": ids, "split": splits, "student_teacher": [*np.arange(9.0), 10.0, 4.0]})
    if student_ids is not None:
        student = student[student["image_id"].isin(student_ids)]
    student.to_parquet(root / "student_teacher.parquet")
    (root / "choice.json").write_text(json.dumps({"weights": weights, "num_classes": 3}), encoding="utf-8")
    write_anomaly_maps(root / "maps", ids, np.zeros((11, 2, 2), dtype=np.float16))
    write_explanations(root / "explanations", {image_id: [] for image_id in ids}, {1: b"jpeg"})
    names = {
        "histogram": "histogram.parquet",
        "histogram-choice": "choice.json",
        "student-teacher": "student_teacher.parquet",
        "maps": "maps",
        "explanations": "explanations",
        "scores": "out/scores",
        "fusion": "out/fusion.json",
    }
    return [part for name, path in names.items() for part in (f"--{name}", str(root / path))]


def test_scores_are_the_sum_of_both_branches(tmp_path: Path) -> None:
    main(write_inputs(tmp_path, {"histogram_1x1": 1.0, "histogram_2x2": 0.5}))
    scores = read_scores(tmp_path / "out/scores/scores.parquet").set_index("image_id")
    # quantiles .2 and .8 of 0..8 are 1.6 and 6.4: 2..6 are kept, mean 4, population std sqrt(2); both columns of the
    # histogram branch scale to the same z, and the second scaling undoes their weights
    z = 6 / np.sqrt(2)
    assert scores.loc["t1", "histogram"] == pytest.approx(z)
    assert scores.loc["t0", "student_teacher"] == pytest.approx(z)
    assert scores.loc["t0", "score"] == pytest.approx(scores.loc["t1", "score"])
    assert "n0" not in scores.index
    assert read_anomaly_maps(tmp_path / "out/scores/maps").values.shape == (11, 2, 2)
    assert len(read_explanations(tmp_path / "out/scores/explanations").images) == 11


def test_a_branch_without_weight_stays_out_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        main(write_inputs(tmp_path, {"histogram_1x1": 0.0, "histogram_2x2": 0.0}))
    scores = read_scores(tmp_path / "out/scores/scores.parquet")
    assert branch_names(scores) == ["student_teacher"]
    np.testing.assert_array_equal(scores["score"], scores["student_teacher"])
    assert "branch histogram: left out" in caplog.text


def test_images_with_scores_of_one_branch_only_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = write_inputs(tmp_path, {"histogram_1x1": 1.0, "histogram_2x2": 1.0}, student_ids=[*VALIDATION, "t0"])
    with pytest.raises(SystemExit):
        main(arguments)
    assert "1 images have scores of one branch only, t1 first" in caplog.text
    assert not (tmp_path / "out/scores").exists()


def test_missing_weights_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(write_inputs(tmp_path, {}))
    assert "no weights of histogram columns" in caplog.text


def test_branch_weights_scale_the_branches_in_the_sum(tmp_path: Path) -> None:
    set_params(weights={"histogram": 0.5, "student_teacher": 2.0})
    main(write_inputs(tmp_path, {"histogram_1x1": 1.0, "histogram_2x2": 0.5}))
    scores = read_scores(tmp_path / "out/scores/scores.parquet").set_index("image_id")
    np.testing.assert_allclose(scores["score"], 0.5 * scores["histogram"] + 2.0 * scores["student_teacher"])
    assert scores.loc["t1", "histogram"] == pytest.approx(6 / np.sqrt(2))  # unweighted, as before


@pytest.mark.parametrize("left_out", ["histogram", "student_teacher"])
def test_a_branch_weight_of_0_leaves_the_branch_out(tmp_path: Path, left_out: str) -> None:
    set_params(weights={**BOTH, left_out: 0.0})
    main(write_inputs(tmp_path, {"histogram_1x1": 1.0, "histogram_2x2": 0.5}))
    (branch,) = branch_names(read_scores(tmp_path / "out/scores/scores.parquet"))
    assert branch != left_out


def test_no_branch_left_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    set_params(weights={**BOTH, "student_teacher": 0.0})
    with pytest.raises(SystemExit):
        main(write_inputs(tmp_path, {"histogram_1x1": 0.0, "histogram_2x2": 0.0}))
    assert "no branch is left to score with" in caplog.text


def test_equal_columns_take_no_notice_of_the_judgement(tmp_path: Path) -> None:
    set_params(columns="equal")
    main(write_inputs(tmp_path, {"histogram_1x1": 0.0, "histogram_2x2": 0.3}))
    columns = (
        fusion_from_json(json.loads((tmp_path / "out/fusion.json").read_text(encoding="utf-8"))).branches[0].columns
    )
    assert [column.weight for column in columns] == [1.0, 1.0]


def test_equal_columns_stay_out_where_there_are_no_classes(tmp_path: Path) -> None:
    set_params(columns="equal")
    arguments = write_inputs(tmp_path, {"histogram_1x1": 0.0, "histogram_2x2": 0.0})
    choice = {"weights": {"histogram_1x1": 0.0, "histogram_2x2": 0.0}, "num_classes": 1}
    (tmp_path / "choice.json").write_text(json.dumps(choice), encoding="utf-8")
    main(arguments)
    assert branch_names(read_scores(tmp_path / "out/scores/scores.parquet")) == ["student_teacher"]
