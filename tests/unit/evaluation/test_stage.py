"""The stage from its inputs to its files, and the report on what it wrote."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from commands.table import main as print_table
from stages.core.io.maps import write_anomaly_maps
from stages.core.io.result import write_scores
from stages.core.run.errors import UserError
from stages.evaluation.__main__ import main
from stages.evaluation.inputs import colour_range, open_maps
from stages.evaluation.pictures import choose_rows
from stages.report.__main__ import main as report
from tests.unit.evaluation.case import PARAMS, make_case


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
    assert "draws" not in metrics
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
        "calibration.json", "components", "disagreement", "heatmaps", "masks", "overview.jpg", "pictures", "results"
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
    main([*make_case(tmp_path), "--cost", str(tmp_path / "costs/tray/first.json")])
    places = SimpleNamespace(page=tmp_path / "report/index.html", table=tmp_path / "metrics/table.md")
    (tmp_path / "labels").mkdir()
    report(["--evaluations", str(tmp_path / "evaluations"), "--metrics", str(tmp_path / "metrics"),
            "--labels", str(tmp_path / "labels"), "--costs", str(tmp_path / "costs"), "--page", str(places.page),
            "--table", str(places.table), "--cost-overview", str(tmp_path / "metrics/cost.json")])  # fmt: skip
    assert r"test/\u00e4 13.png" in places.page.read_text(encoding="utf-8")
    assert "| tray | ours | 83.3 | 100.0 | 91.7 |" in places.table.read_text(encoding="utf-8")
    print_table(["--metrics", str(tmp_path / "metrics")])
    assert "91.7" in capsys.readouterr().out


def test_draws_are_averaged_in_metrics_table_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second draw ranks the other way round: AUROC a and 1 - a have mean 1/2 and deviation |2 a - 1| / sqrt(2)."""
    arguments = make_case(tmp_path)
    scores = pd.read_parquet(tmp_path / "scores/scores.parquet")
    write_scores(tmp_path / "scores/scores.parquet", scores.assign(draw_0=scores["score"], draw_1=-scores["score"]))
    main(arguments)
    metrics = json.loads((tmp_path / "metrics/ours/tray.json").read_text())
    assert metrics["draws"] == {
        "count": 2,
        "image_auroc_mean": {"all": 0.5, "logical": 0.5, "structural": 0.5},
        "image_auroc_deviation": {"all": 0.589256, "logical": 0.471405, "structural": 0.707107},
    }
    assert metrics["image_auroc"]["all"] == pytest.approx(22 / 24, abs=1e-6)  # the first draw's
    (tmp_path / "labels").mkdir()
    report(["--evaluations", str(tmp_path / "evaluations"), "--metrics", str(tmp_path / "metrics"),
            "--labels", str(tmp_path / "labels"), "--costs", str(tmp_path / "labels"),
            "--page", str(tmp_path / "index.html"), "--table", str(tmp_path / "table.md"),
            "--cost-overview", str(tmp_path / "cost.json")])  # fmt: skip
    line = ["tray", "ours", "2", "50.0 ± 47.1", "50.0 ± 70.7", "50.0 ± 58.9"]
    assert f"| {' | '.join(line)} |" in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "".join(f'<td class="number">{value}</td>' for value in line[2:]) in (tmp_path / "index.html").read_text()
    print_table(["--metrics", str(tmp_path / "metrics")])
    assert " ".join(line) in " ".join(capsys.readouterr().out.split())
