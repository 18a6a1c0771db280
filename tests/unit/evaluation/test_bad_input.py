"""Input that is odd but whole gives defined results; input that is not gives one message and no output."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.core.io.maps import write_anomaly_maps
from stages.evaluation.__main__ import main
from tests.unit.evaluation.case import PARAMS, make_case


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def keep(root: Path, chosen: Any) -> None:
    """Leave only the images of the truth for which `chosen` is true, in truth, scores and maps."""
    truth = pd.read_parquet(root / "split/truth.parquet")
    left = truth[chosen(truth)].reset_index(drop=True)
    left.to_parquet(root / "split/truth.parquet")
    scores = pd.read_parquet(root / "scores/scores.parquet")
    scores[scores["image_id"].isin(left["image_id"])].reset_index(drop=True).to_parquet(root / "scores/scores.parquet")
    ids = json.loads((root / "scores/maps/image_ids.json").read_text(encoding="utf-8"))
    rows = [number for number, name in enumerate(ids) if name in set(left["image_id"])]
    values = np.load(root / "scores/maps/maps.npy")[rows]
    write_anomaly_maps(root / "scores/maps", [ids[row] for row in rows], values)


def metrics(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "metrics/ours/tray.json").read_text(encoding="utf-8"))
    return content


def failure(arguments: list[str], caplog: pytest.LogCaptureFixture, root: Path) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert not (root / "metrics/ours/tray.json").exists()
    return caplog.text


def test_normal_test_images_only(tmp_path: Path) -> None:
    arguments = make_case(tmp_path)
    keep(tmp_path, lambda truth: ~truth["is_anomalous"])
    main(arguments)
    found = metrics(tmp_path)
    assert found["image_auroc"] == {"all": None, "logical": None, "structural": None}
    assert found["reasons"]["image_auroc.all"] == "no anomalous test image"
    assert found["reasons"]["aupro.all"] == "no anomalous test image of this group has a mask"
    assert found["at_threshold"]["false_alarm_rate"] == 0.25
    assert found["at_threshold"]["detection_rate"]["all"] is None
    intervals = json.loads((tmp_path / "metrics/intervals/ours/tray.json").read_text())
    assert intervals.keys() == {"at_threshold"}
    assert intervals["at_threshold"].keys() == {"false_alarm_rate"}


def test_anomalous_test_images_only(tmp_path: Path) -> None:
    arguments = make_case(tmp_path)
    keep(tmp_path, lambda truth: truth["is_anomalous"] | (truth["split"] == "validation"))
    main(arguments)
    found = metrics(tmp_path)
    assert found["image_auroc"]["all"] is None
    assert found["reasons"]["image_auroc.all"] == "no normal test image"
    assert found["reasons"]["at_threshold.false_alarm_rate"] == "no normal test image"
    assert found["at_threshold"]["recall"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["pixel_auroc"]["all"] > 0.9  # their own pixels outside of the masks are normal


def test_no_masks(tmp_path: Path) -> None:
    arguments = make_case(tmp_path)
    path = tmp_path / "split/truth.parquet"
    truth = pd.read_parquet(path)
    truth["mask_files"] = [[] for _ in range(len(truth))]
    truth.to_parquet(path)
    main(arguments)
    found = metrics(tmp_path)
    assert found["images"]["anomalous_without_mask"] == 6
    assert found["aupro"]["all"] is None
    assert found["au_spro"]["at_0.05"]["all"] is None
    assert found["image_auroc"]["all"] is not None
    result = json.loads((tmp_path / "evaluations/ours/tray/results/0009.json").read_text(encoding="utf-8"))
    assert result["mask_path"] is None


def test_one_normal_validation_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = make_case(tmp_path)
    keep(tmp_path, lambda truth: (truth["split"] == "test") | (truth["image_id"] == "validation/ä 07"))
    main(arguments)
    found = metrics(tmp_path)
    assert found["threshold"]["value"] == 7.0
    assert found["threshold"]["attainable_false_alarm_rate"] == 0.5
    assert "1 normal validation images cannot keep false alarms at 0.2 (that takes 4)" in caplog.text
    assert found["uncertainty"]["open_above"] is True


def test_an_empty_category(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = make_case(tmp_path)
    keep(tmp_path, lambda truth: truth["split"] == "validation")
    assert "there is no test image to evaluate" in failure(arguments, caplog, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite(tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float) -> None:
    arguments = make_case(tmp_path)
    scores = pd.read_parquet(tmp_path / "scores/scores.parquet")
    scores.loc[3, "score"] = value
    scores.to_parquet(tmp_path / "scores/scores.parquet")
    message = failure(arguments, caplog, tmp_path)
    assert f"the column 'score' of the scores is not finite for: {scores['image_id'][3]}" in message


def test_an_image_that_the_scores_lack(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = make_case(tmp_path)
    scores = pd.read_parquet(tmp_path / "scores/scores.parquet")
    scores.drop(index=12).reset_index(drop=True).to_parquet(tmp_path / "scores/scores.parquet")
    message = failure(arguments, caplog, tmp_path)
    assert f"validation or test images without a score: {scores['image_id'][12]}" in message


@pytest.mark.parametrize("shape", [(7, 9), (1, 1), (40, 3)])
def test_maps_of_another_size_are_interpolated(tmp_path: Path, shape: tuple[int, int]) -> None:
    arguments = make_case(tmp_path)
    ids = json.loads((tmp_path / "scores/maps/image_ids.json").read_text(encoding="utf-8"))
    maps = np.random.default_rng(0).normal(size=(len(ids), *shape)).astype(np.float16)
    write_anomaly_maps(tmp_path / "scores/maps", ids, maps)
    main(arguments)
    assert 0 <= metrics(tmp_path)["pixel_auroc"]["all"] <= 1


def test_maps_without_pixels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = make_case(tmp_path)
    np.save(tmp_path / "scores/maps/maps.npy", np.zeros((20, 0, 3), dtype=np.float16))
    assert "image_ids for an array of shape (20, 0, 3)" in failure(arguments, caplog, tmp_path)


def test_labelled_anomalies_in_validation_give_a_second_threshold(tmp_path: Path) -> None:
    arguments = make_case(tmp_path)
    truth = pd.read_parquet(tmp_path / "split/truth.parquet")
    moved = truth["image_id"].isin(truth["image_id"][truth["kind"] == "logical"][:2])
    truth.assign(split=truth["split"].mask(moved, "validation")).to_parquet(tmp_path / "split/truth.parquet")
    scores = pd.read_parquet(tmp_path / "scores/scores.parquet")
    scores["split"] = scores["split"].mask(moved, "validation_anomalous")
    scores.to_parquet(tmp_path / "scores/scores.parquet")
    main(arguments)
    found = metrics(tmp_path)
    # Validation: normal 0 to 9, anomalous 7 and 8: both with normals 7, 8, 9 among them give 4 / 7.
    assert found["f1_threshold"] == {"value": 6.5, "f1": pytest.approx(4 / 7, abs=1e-6), "normals": 10, "anomalies": 2}
    assert found["at_f1_threshold"]["recall"] == 1.0
    assert found["threshold"]["value"] == 8.0  # the one that decides is as before
