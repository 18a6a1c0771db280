"""The stage from its inputs to its files, for one method and for several."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.io.truth import component_files
from stages.evaluation.pictures import choose_rows
from tests.unit.evaluation.case import HEALTH, SCORES, Case
from tests.unit.report.case import run_report

TWO = {
    "theirs": {"categories": {"tray": {}}, "stages": ["third"]},
    "ours": {"categories": {"tray": {}}, "stages": ["first"]},
}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def table(case: Case, name: str) -> pd.DataFrame:
    return pd.read_csv(case.root / f"metrics/plots/tray/{name}.csv")


def test_metrics_by_hand(case: Case) -> None:
    case.run()
    metrics = case.metrics()
    assert metrics["images"] == {"normal": 4, "all": 6, "logical": 3, "structural": 3, "anomalous_without_mask": 0}
    # Normal 3, 4, 5, 8.5; logical 7, 8, 9 (3 + 3 + 4 of 12 pairs); structural 10, 11, 12.
    assert metrics["image_auroc"] == {"all": pytest.approx(22 / 24, abs=1e-6), "logical": 0.833333, "structural": 1.0}
    assert metrics["defect_type_auroc"] == {"logical_x": 0.833333, "structural_x": 1.0}
    assert metrics["branches"] == {"local-student": metrics["image_auroc"]}
    assert "repetitions" not in metrics
    # k = ceil(11 * 0.8) = 9 of the scores 0 to 9; above 8 lie 8.5 and five anomalies.
    assert metrics["threshold"] == {"value": 8.0, "false_alarm_budget": 0.2, "normals": 10, "normals_needed": 4,
                                    "attainable_false_alarm_rate": 0.181818}  # fmt: skip
    assert metrics["at_threshold"]["false_alarm_rate"] == 0.25
    assert metrics["at_threshold"]["detection_rate"] == {"all": 0.666667, "logical": 0.333333, "structural": 1.0}
    assert metrics["pixel_auroc"]["all"] > 0.95
    assert metrics["aupro"]["structural"] > 0.8
    assert metrics["reasons"]["au_spro.at_0.05.all"] == "the source states no saturation of its defects"
    assert metrics["reasons"]["f1_threshold"] == "no labelled anomaly in validation"
    assert not [name for name in metrics["reasons"] if name.startswith(("image_", "pixel_", "at_", "aupro"))]


def test_results_of_an_image(case: Case) -> None:
    case.run()
    folder = case.root / "evaluations/tray/ours"
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.json", "components", "disagreement", "heatmaps", "masks", "overview.jpg", "pictures", "results"
    ]  # fmt: skip
    assert [path.name for path in sorted((folder / "results").iterdir())] == [f"{n:04d}.json" for n in range(10)]
    result = case.result(3)  # the false alarm: 8.5
    assert result["filename"] == "test/ä 13.png"
    assert result["ground_truth"] == {"type": "anomaly", "is_anomalous": False}
    assert result["prediction"]["anomaly_score"] == 8.5
    assert 0.5 < result["prediction"]["anomaly_score_display"] < 1
    assert result["prediction"]["is_anomalous"] is True
    assert result["correct"] is False
    assert result["branches"] == {"local-student": 17.0}
    with Image.open(folder / result["prediction"]["heatmap_path"]) as heatmap:
        assert heatmap.size == (256, 171)
    calibration = case.json("evaluations/tray/ours/calibration.json")
    assert calibration["threshold"]["value"] == 8.0
    assert calibration["low"] < calibration["high"]


def test_all_methods_of_a_product_in_the_order_of_the_params(case: Case) -> None:
    case.run()
    alone = case.metrics()
    case.change_params(methods=TWO)
    case.write_result([-score for score in SCORES], method="theirs", maps=False)
    case.run()
    for name in ("metrics/evaluation/tray.json", "metrics/intervals/tray.json"):
        assert list(case.json(name)) == ["theirs", "ours"]
    assert case.metrics("ours") == alone
    assert case.metrics("theirs")["image_auroc"]["all"] == pytest.approx(2 / 24, abs=1e-6)
    columns = {
        "roc": ["method", "false_positive_rate", "true_positive_rate"],
        "precision_recall": ["method", "recall", "precision"],
        "scores": ["method", "score", "kind", "images"],
        "confusion": ["method", "actual", "predicted"],
    }
    assert {name: list(table(case, name)) for name in columns} == columns
    assert {tuple(table(case, name)["method"].unique()) for name in columns} == {("theirs", "ours")}
    scores = pd.read_csv(case.root / "metrics/scores/tray.csv")
    assert list(scores) == ["method", "image_id", "kind", "score"]
    assert scores.groupby("method", sort=False)["score"].sum().to_dict() == {"theirs": -77.5, "ours": 77.5}
    overviews = case.root / "metrics/plots/tray/overview"
    assert {path.name for path in overviews.iterdir()} == {"ours.jpg", "theirs.jpg"}
    assert (
        overviews.joinpath("ours.jpg").read_bytes() == (case.root / "evaluations/tray/ours/overview.jpg").read_bytes()
    )
    assert case.result(9, "theirs")["prediction"]["heatmap_path"] is None


def test_scores_of_a_method_that_is_off_are_named_and_not_read(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    case.write_result(SCORES, method="theirs")
    (case.root / "scores/theirs/scores.parquet").write_bytes(b"no table")
    case.run()
    assert list(case.json("metrics/evaluation/tray.json")) == ["ours"]
    assert "scores/theirs is left over and not evaluated: theirs is off for tray; delete it" in caplog.text


def test_agreement_of_components_and_data_health_are_published(case: Case) -> None:
    case.run()
    assert case.json("metrics/components/tray.json") == {"proposed": None, "trials": {}}
    assert case.json("metrics/data_health/tray.json") == HEALTH
    case.write_review("b", "a")
    file = component_files(case.root / "split/truth") / "train/a.png"
    file.parent.mkdir(parents=True)
    Image.fromarray(np.ones((8, 8), dtype=np.uint8)).save(file)
    case.run()
    whole = {"images": 1, "matched_iou": 1.0, "found": 1.0, "count_error": 0.0}
    assert case.json("metrics/components/tray.json") == {"proposed": whole, "trials": {"a": whole, "b": whole}}
    shown = sorted(path.name for path in (case.root / "evaluations/tray/ours/review").iterdir())
    assert shown == ["classes.jpg", "overlays.jpg", "review.json"]


def test_two_runs_write_the_same_bytes(case: Case) -> None:
    case.run()
    first = {**contents(case.root / "metrics"), **contents(case.root / "evaluations")}
    case.run()
    assert {**contents(case.root / "metrics"), **contents(case.root / "evaluations")} == first


def test_without_maps(case: Case) -> None:
    case.write_result(SCORES, maps=False)
    case.run()
    metrics = case.metrics()
    assert metrics["pixel_auroc"] == {"all": None, "logical": None, "structural": None}
    assert metrics["reasons"]["aupro.all"] == "the method makes no anomaly maps"
    result = case.result(0)
    assert result["prediction"]["heatmap_path"] is None
    assert (case.root / "evaluations/tray/ours" / result["picture_path"]).exists()


def test_equal_scores(case: Case) -> None:
    case.write_result([1.0] * 20)
    case.run()
    metrics = case.metrics()
    assert metrics["image_auroc"]["all"] == 0.5
    assert metrics["at_threshold"]["false_alarm_rate"] == 0.0
    assert metrics["reasons"]["at_threshold.precision"] == "no test image lies above the threshold"
    assert metrics["reasons"]["uncertainty.accuracy_when_unsure"] == "no test image lies in the unsure band"


def test_repetitions_are_averaged(case: Case) -> None:
    """The second one ranks the other way round: AUROC a and 1 - a have mean 1/2 and deviation |2 a - 1| / sqrt(2)."""
    scores = case.scores()
    case.write_scores(scores.assign(repetition_0=scores["score"], repetition_1=-scores["score"]))
    case.run()
    metrics = case.metrics()
    assert metrics["repetitions"] == {
        "count": 2,
        "image_auroc_mean": {"all": 0.5, "logical": 0.5, "structural": 0.5},
        "image_auroc_deviation": {"all": 0.589256, "logical": 0.471405, "structural": 0.707107},
    }
    assert metrics["image_auroc"]["all"] == pytest.approx(22 / 24, abs=1e-6)  # the first repetition's


def test_the_sheet_shows_every_kind() -> None:
    rows = pd.DataFrame({"kind": ["normal"] * 50 + ["logical"] * 2 + ["unspecified"] * 9})
    rows = rows.assign(score=range(61), image_id=[f"{n:02d}" for n in range(61)])
    chosen = rows.iloc[choose_rows(rows)]
    assert chosen["kind"].value_counts().to_dict() == {"normal": 5, "unspecified": 5, "logical": 2}
    assert {0, 49} <= set(chosen["score"])  # the lowest and the highest of the normal ones
    assert len(choose_rows(rows[:3])) == 3


def test_the_report_reads_what_the_evaluation_writes(case: Case) -> None:
    case.run()
    (case.root / "clusters").mkdir()
    page = run_report()
    assert r"test/\u00e4 13.png" in page
    assert "| tray | ours | 83.3 | 100.0 | 91.7 |" in (case.root / "metrics/table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("anomalous", [False, True])
def test_the_report_reads_a_product_with_test_images_of_one_class_only(case: Case, anomalous: bool) -> None:
    case.keep(lambda truth: (truth["is_anomalous"] == anomalous) | (truth["split"] == "validation"))
    case.run()
    (case.root / "clusters").mkdir()
    page, table = run_report(), (case.root / "metrics/table.md").read_text(encoding="utf-8")
    reason = f"tray: detection was not measured: no {'normal' if anomalous else 'anomalous'} test image"
    assert reason in page
    assert reason in table
    assert "| tray | ours | – | – | – |" in table
    assert "Not shown" not in page
