"""The room from its inputs to its files, and the report on what it wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.artifacts.anomaly_maps import write_anomaly_maps
from stages.core.artifacts.scores import write_scores
from stages.core.artifacts.truth import write_truth
from stages.core.errors import UserError
from stages.evaluation.__main__ import main
from stages.evaluation.contact_sheet import choose_rows
from stages.evaluation.maps import colour_range, open_maps
from stages.report.__main__ import main as report
from stages.report.table import main as print_table

PARAMS = """
seed: 0
evaluation: {false_alarm_budget: 0.2, aupro_max_false_positive_rate: 0.3, spro_max_false_positive_rates: [0.05, 1.0],
             confidence: 0.95, bootstrap_resamples: 50, unsure_confidence: 0.9}
categories: {tray: {}}
report: {rooms_of_method: {ours: [first, second]}}
"""
KINDS = ["normal"] * 10 + ["normal"] * 4 + ["logical"] * 3 + ["structural"] * 3


def make_case(root: Path, *, scores: Sequence[float] | None = None, maps: bool = True) -> list[str]:
    """Ten validation normals and ten test images with a bright spot where the defect is; returns the arguments."""
    generator = np.random.default_rng(0)
    split = root / "split"
    for folder in ("images", "masks"):
        (split / folder).mkdir(parents=True)
    rows, spots = [], []
    for number, kind in enumerate(KINDS):
        image = generator.integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(image).save(split / "images" / f"{number}.png")
        mask = np.zeros((20, 30), dtype=np.uint8)
        mask[4:8, 6:12] = 255 * (kind != "normal")
        files = [f"{number}_0.png"] if kind != "normal" else []
        for name in files:
            Image.fromarray(mask).save(split / "masks" / name)
        part = "validation" if number < 10 else "test"
        rows.append((f"{part}/ä {number:02d}", f"{number}.png", part, f"{part}/ä {number:02d}.png", kind != "normal",
                     kind, f"{kind}_x" if kind != "normal" else "good", files, "0" * 64, 30, 20))  # fmt: skip
        spots.append(generator.normal(size=(5, 6)) * 0.1 + (mask[2::4, 2::5] > 0))
    columns = ("image_id", "file", "split", "source_path", "is_anomalous", "kind", "defect_type", "mask_files",
               "sha256", "width", "height")  # fmt: skip
    truth = pd.DataFrame(rows, columns=columns)
    write_truth(split / "truth.parquet", truth)
    values = [*range(10), 3.0, 4.0, 5.0, 8.5, *range(7, 13)] if scores is None else scores
    table = truth[["image_id", "split"]].assign(score=np.array(values, dtype=float))
    write_scores(root / "scores" / "scores.parquet", table.assign(**{"local-student": table["score"] * 2}))
    if maps:
        write_anomaly_maps(root / "scores" / "maps", truth["image_id"].tolist(), np.array(spots, dtype=np.float16))
    plots = "metrics/plots/ours/tray"
    outputs = {"metrics": "metrics/ours/tray.json", "intervals": "metrics/intervals/ours/tray.json",
               "test-scores": "metrics/scores/ours/tray.csv", "score-histogram": f"{plots}/scores.csv",
               "overview": f"{plots}/overview.jpg", "results": "evaluations/ours/tray",
               **{name: f"{plots}/{name.replace('-', '_')}.csv" for name in ("roc", "precision-recall", "confusion")},
               }  # fmt: skip
    inputs = {"scores": "scores", "truth": "split/truth.parquet", "image-files": "split/images",
              "mask-files": "split/masks"}  # fmt: skip
    paths = [part for name, path in {**inputs, **outputs}.items() for part in (f"--{name}", str(root / path))]
    return [*paths, "--method", "ours", "--category", "tray"]


@pytest.fixture(autouse=True)
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_metrics_by_hand(tmp_path: Path) -> None:
    main(make_case(tmp_path))
    metrics = json.loads((tmp_path / "metrics/ours/tray.json").read_text())
    assert metrics["images"] == {"normal": 4, "all": 6, "logical": 3, "structural": 3, "anomalous_without_mask": 0}
    # Normal 3, 4, 5, 8.5; logical 7, 8, 9 (3 + 3 + 4 of 12 pairs); structural 10, 11, 12.
    assert metrics["image_auroc"] == {"all": pytest.approx(22 / 24, abs=1e-6), "logical": 0.833333, "structural": 1.0}
    assert metrics["defect_type_auroc"] == {"logical_x": 0.833333, "structural_x": 1.0}
    assert metrics["branches"] == {"local-student": metrics["image_auroc"]}
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


def test_results_of_an_image(tmp_path: Path) -> None:
    main(make_case(tmp_path))
    folder = tmp_path / "evaluations/ours/tray"
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.json", "components", "heatmaps", "masks", "overview.jpg", "pictures", "results"
    ]  # fmt: skip
    assert [path.name for path in sorted((folder / "results").iterdir())] == [f"{n:04d}.json" for n in range(10)]
    result = json.loads((folder / "results/0003.json").read_text(encoding="utf-8"))  # the false alarm: 8.5
    assert result["filename"] == "test/ä 13.png"
    assert result["ground_truth"] == {"type": "anomaly", "is_anomalous": False}
    assert result["prediction"]["anomaly_score"] == 8.5
    assert 0.5 < result["prediction"]["anomaly_score_display"] < 1
    assert result["prediction"]["is_anomalous"] is True
    assert result["correct"] is False
    assert result["branches"] == {"local-student": 17.0}
    with Image.open(folder / result["prediction"]["heatmap_path"]) as heatmap:
        assert heatmap.size == (256, 171)
    calibration = json.loads((folder / "calibration.json").read_text())
    assert calibration["threshold"]["value"] == 8.0
    assert calibration["low"] < calibration["high"]


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    arguments = make_case(tmp_path)
    main(arguments)
    first = {**contents(tmp_path / "metrics"), **contents(tmp_path / "evaluations")}
    main(arguments)
    assert {**contents(tmp_path / "metrics"), **contents(tmp_path / "evaluations")} == first


def test_without_maps(tmp_path: Path) -> None:
    main(make_case(tmp_path, maps=False))
    metrics = json.loads((tmp_path / "metrics/ours/tray.json").read_text())
    assert metrics["pixel_auroc"] == {"all": None, "logical": None, "structural": None}
    assert metrics["reasons"]["aupro.all"] == "the method makes no anomaly maps"
    result = json.loads((tmp_path / "evaluations/ours/tray/results/0000.json").read_text())
    assert result["prediction"]["heatmap_path"] is None
    assert (tmp_path / "evaluations/ours/tray" / result["picture_path"]).exists()


def test_equal_scores(tmp_path: Path) -> None:
    main(make_case(tmp_path, scores=[1.0] * 20))
    metrics = json.loads((tmp_path / "metrics/ours/tray.json").read_text())
    assert metrics["image_auroc"]["all"] == 0.5
    assert metrics["at_threshold"]["false_alarm_rate"] == 0.0
    assert metrics["reasons"]["at_threshold.precision"] == "no test image lies above the threshold"
    assert metrics["reasons"]["uncertainty.accuracy_when_unsure"] == "no test image lies in the unsure band"


def test_a_bad_score_ends_with_one_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = make_case(tmp_path)
    path = tmp_path / "scores/scores.parquet"
    table = pd.read_parquet(path)
    table.loc[12, "score"] = np.nan
    table.to_parquet(path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert f"not finite for: {table['image_id'][12]}" in caplog.text
    assert not (tmp_path / "metrics/ours/tray.json").exists()


def test_maps_must_fit(tmp_path: Path) -> None:
    joined = pd.DataFrame({"image_id": ["v", "t"], "split": ["validation", "test"]})
    one = np.zeros((1, 2, 2), dtype=np.float16)
    write_anomaly_maps(tmp_path / "few", ["v"], one)
    with pytest.raises(UserError, match="test images without a map: t"):
        open_maps(tmp_path / "few", joined)
    write_anomaly_maps(tmp_path / "unknown", ["t", "x"], np.concatenate([one, one]))
    with pytest.raises(UserError, match="not to be evaluated: x"):
        open_maps(tmp_path / "unknown", joined)
    np.save(tmp_path / "few" / "maps.npy", np.full((1, 2, 2), np.inf, dtype=np.float16))
    (tmp_path / "few" / "image_ids.json").write_text('["t"]')
    with pytest.raises(UserError, match="not finite: t"):
        open_maps(tmp_path / "few", joined)
    assert open_maps(tmp_path / "none", joined) == {}


def test_colours_come_from_normal_validation_images() -> None:
    joined = pd.DataFrame({"image_id": ["v", "w", "t"], "split": ["validation", "validation_anomalous", "test"]})
    maps = {"v": np.array([[1, 2, 3]], dtype=np.float16), "w": np.array([[99]]), "t": np.array([[77]])}
    assert colour_range(joined, maps, budget=0.05) == (2.0, 3.0)
    assert colour_range(joined, {"v": np.ones((2, 2))}, budget=0.05) == (1.0, 2.0)
    assert colour_range(joined, {}, budget=0.05) == (0.0, 1.0)


def test_the_sheet_shows_every_kind() -> None:
    table = pd.DataFrame({"kind": ["normal"] * 50 + ["logical"] * 2 + ["unspecified"] * 9})
    table = table.assign(score=range(61), image_id=[f"{n:02d}" for n in range(61)])
    chosen = table.iloc[choose_rows(table)]
    assert chosen["kind"].value_counts().to_dict() == {"normal": 5, "unspecified": 5, "logical": 2}
    assert {0, 49} <= set(chosen["score"])  # the lowest and the highest of the normal ones
    assert len(choose_rows(table[:3])) == 3


def test_the_report_reads_what_the_evaluation_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*make_case(tmp_path), "--cost", str(tmp_path / "metrics/cost/tray/first.json")])
    places = SimpleNamespace(page=tmp_path / "report/index.html", table=tmp_path / "metrics/table.md")
    report(["--evaluations", str(tmp_path / "evaluations"), "--metrics", str(tmp_path / "metrics"),
            "--page", str(places.page), "--table", str(places.table)])  # fmt: skip
    assert "test/ä 13.png" in places.page.read_text(encoding="utf-8")
    assert "| tray | ours | 83.3 | 100.0 | 91.7 |" in places.table.read_text(encoding="utf-8")
    print_table(["--metrics", str(tmp_path / "metrics")])
    assert "91.7" in capsys.readouterr().out
