"""Input that is odd but whole gives defined results; input that is not gives one message and no output."""

import shutil
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from stages.core.io.maps import AnomalyMaps
from tests.unit.evaluation.case import Case


def failure(case: Case, caplog: pytest.LogCaptureFixture) -> str:
    """The message of a run that fails and writes nothing."""
    with pytest.raises(SystemExit) as ended:
        case.run()
    assert ended.value.code == 1
    assert not (case.root / "metrics").exists() or not list((case.root / "metrics").rglob("*.json"))
    return caplog.text


def test_normal_test_images_only(case: Case) -> None:
    case.keep(lambda truth: ~truth["is_anomalous"])
    case.run()
    found = case.metrics()
    assert found["image_auroc"] == {"all": None, "logical": None, "structural": None}
    assert found["reasons"]["image_auroc.all"] == "no anomalous test image"
    assert found["reasons"]["aupro.all"] == "no anomalous test image of this group has a mask"
    assert found["at_threshold"]["false_alarm_rate"] == 0.25
    assert found["at_threshold"]["detection_rate"]["all"] is None
    intervals = case.json("metrics/intervals/tray.json")["ours"]
    assert intervals.keys() == {"at_threshold"}
    assert intervals["at_threshold"].keys() == {"false_alarm_rate"}
    assert (case.root / "metrics/plots/tray/roc.csv").read_text() == "method,false_positive_rate,true_positive_rate\n"


def test_anomalous_test_images_only(case: Case) -> None:
    case.keep(lambda truth: truth["is_anomalous"] | (truth["split"] == "validation"))
    case.run()
    found = case.metrics()
    assert found["image_auroc"]["all"] is None
    assert found["reasons"]["image_auroc.all"] == "no normal test image"
    assert found["reasons"]["at_threshold.false_alarm_rate"] == "no normal test image"
    assert found["at_threshold"]["recall"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["pixel_auroc"]["all"] > 0.9  # their own pixels outside the masks are normal


def test_no_masks(case: Case) -> None:
    case.write_truth(case.truth.assign(mask_files=[[] for _ in range(20)]))
    case.run()
    found = case.metrics()
    assert found["images"]["anomalous_without_mask"] == 6
    assert found["aupro"]["all"] is None
    assert found["au_spro"]["at_0.05"]["all"] is None
    assert found["image_auroc"]["all"] is not None
    assert case.result(9)["mask_path"] is None


def test_one_normal_validation_image(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    case.keep(lambda truth: (truth["split"] == "test") | (truth["image_id"] == "validation/ä 07"))
    case.run()
    found = case.metrics()
    assert found["threshold"]["value"] == 7.0
    assert found["threshold"]["attainable_false_alarm_rate"] == 0.5
    assert "1 normal validation image cannot keep false alarms at 0.2 (that takes 4)" in caplog.text
    assert found["uncertainty"]["open_above"] is True


def no_test_image(case: Case) -> None:
    case.keep(lambda truth: truth["split"] == "validation")


def a_score_that_is_not_finite(case: Case) -> None:
    scores = case.scores()
    scores.loc[scores["image_id"] == "validation/ä 03", "score"] = np.nan
    case.write_scores(scores)


def an_image_without_a_score(case: Case) -> None:
    scores = case.scores()
    case.write_scores(scores[scores["image_id"] != "validation/ä 03"].reset_index(drop=True))


def maps_without_pixels(case: Case) -> None:
    np.save(case.root / "scores/ours/maps/maps.npy", np.zeros((20, 0, 3), dtype=np.float16))


def a_method_without_a_result(case: Case) -> None:
    shutil.rmtree(case.root / "scores/ours")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_test_image, "there is no test image to evaluate"),
        (a_score_that_is_not_finite, "the column 'score' of the scores is not finite for: validation/ä 03"),
        (an_image_without_a_score, "validation or test images without a score: validation/ä 03"),
        (maps_without_pixels, "an array of shape (20, 0, 3) for 20 images"),
        (a_method_without_a_result, "scores.parquet does not exist: correct the name, or run `dvc repro`"),
    ],
)
def test_bad_results_end_with_one_message_that_names_the_method(
    case: Case, caplog: pytest.LogCaptureFixture, damage: Callable[[Case], None], message: str
) -> None:
    damage(case)
    text = failure(case, caplog)
    assert message in text
    assert "ours: " in text


def test_a_product_that_no_method_scores_is_an_error(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    case.change_params(methods={"ours": {"categories": {}, "stages": []}})
    assert "no method is on for this product" in failure(case, caplog)


@pytest.mark.parametrize("shape", [(7, 9), (1, 1), (40, 3)])
def test_maps_of_another_size_are_interpolated(case: Case, shape: tuple[int, int]) -> None:
    ids = case.maps().image_ids
    values = np.random.default_rng(0).normal(size=(len(ids), *shape)).astype(np.float16)
    case.write_maps(AnomalyMaps(ids, values))
    case.run()
    assert 0 <= case.metrics()["pixel_auroc"]["all"] <= 1


def test_labelled_anomalies_in_validation_give_a_second_threshold(case: Case) -> None:
    truth = case.truth
    moved = set(truth["image_id"][truth["kind"] == "logical"][:2])
    case.write_truth(truth.assign(split=truth["split"].mask(truth["image_id"].isin(moved), "validation")))
    scores = case.scores()
    other = scores["split"].mask(scores["image_id"].isin(moved), "validation_anomalous")
    case.write_scores(pd.DataFrame(scores.assign(split=other)))
    case.run()
    found = case.metrics()
    # Validation: normal 0 to 9, anomalous 7 and 8: both with normals 7, 8, 9 among them give 4 / 7.
    assert found["f1_threshold"] == {"value": 6.5, "f1": pytest.approx(4 / 7, abs=1e-6), "normals": 10, "anomalies": 2}
    assert found["at_f1_threshold"]["recall"] == 1.0
    assert found["threshold"]["value"] == 8.0  # the one that decides is as before
