"""`oddpart verify` of metrics: what is not that of the scores is named, and nothing else is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from commands.app import app
from commands.recompute import auroc, auroc_limits, precision_limits, recompute
from commands.verify import verify_folder
from stages.core.runtime.errors import UserError
from tests.architecture.source_files import ROOT

SCORES = """method,image_id,kind,score
one,a,normal,1.0
one,b,normal,3.0
one,c,logical,2.0
one,d,structural,4.0
"""
METRICS = {  # by hand: of 4 pairs, (2, 3) alone is out of order; the threshold calls b and d anomalous
    "image_auroc": {"all": 0.75, "logical": 0.5, "structural": 1.0},
    "average_precision": {"all": 0.833333, "logical": 0.5, "structural": 1.0},
    "images": {"all": 2, "logical": 1, "structural": 1},
    "threshold": {"value": 2.5},
    "at_threshold": {"f1": 0.5, "false_alarm_rate": 0.5},
}


def write(folder: Path, *, scores: str = SCORES, metrics: object = None) -> Path:
    """Write two runs of a product, the second with the numbers above."""
    for run, own in (("seed-0", metrics or {"one": METRICS}), ("seed-1", {"one": METRICS})):
        (folder / run).mkdir(exist_ok=True)
        (folder / run / "bolt.csv").write_text(scores, encoding="utf-8")
        (folder / run / "bolt.json").write_text(json.dumps(own), encoding="utf-8")
    return folder


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recompute(write(tmp_path)) == "22 numbers of 2 evaluations found as the scores have them"
    printed = capsys.readouterr()
    assert "75.00 ± 0.00" in printed.out + printed.err


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("image_auroc", "logical", 0.51),
        ("average_precision", "all", 0.8334),
        ("at_threshold", "f1", 0.51),
        ("at_threshold", "false_alarm_rate", None),
        ("images", "structural", 2),
    ],
)
def test_a_number_that_is_not_of_the_scores(tmp_path: Path, section: str, key: str, value: float | None) -> None:
    changed = {**METRICS, section: {**METRICS[section], key: value}}
    message = rf"1 of 22 numbers not .*\s+- seed-0 bolt one .*{key}.*: stated {value}, from the scores"
    with pytest.raises(UserError, match=message):
        recompute(write(tmp_path, metrics={"one": changed}))


def test_ties_leave_a_range() -> None:
    normal, anomalous = np.array([1.0, 2.0]), np.array([2.0, 2.0])
    assert auroc(normal, anomalous) == 0.75
    assert auroc_limits(normal, anomalous) == (0.5, 1.0)
    assert precision_limits(normal, anomalous) == ((1 / 2 + 2 / 3) / 2, 1.0)
    assert auroc_limits(normal, np.zeros(0)) == (None, None)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("method,image_id,score\n", "its columns are"),
        (SCORES.replace("4.0", "four"), "could not convert"),
        (SCORES.replace("one,", "two,"), r"methods \['two'\], in .* \['one'\]"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, scores: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"bolt\.csv or bolt\.json: cannot be read \(.*{message}"):
        recompute(write(tmp_path, scores=scores))


@pytest.mark.parametrize(("gone", "left"), [("bolt.csv", "bolt.json"), ("bolt.json", "bolt.csv")])
@pytest.mark.parametrize("layout", ["pipeline", "runs"])
def test_a_missing_half_is_named(tmp_path: Path, layout: str, gone: str, left: str) -> None:
    tables, evaluations = ("scores", "evaluation") if layout == "pipeline" else ("seed-0", "seed-0")
    for product in ("bolt", "nut"):
        for folder, name, content in (
            (tables, f"{product}.csv", SCORES), (evaluations, f"{product}.json", json.dumps({"one": METRICS})),
        ):  # fmt: skip
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text(content, encoding="utf-8")
    recompute(tmp_path)
    (tmp_path / (tables if gone.endswith("csv") else evaluations) / gone).unlink()
    with pytest.raises(UserError, match=rf"cannot be compared.* missing: [^,]*{left}$"):
        recompute(tmp_path)


def test_the_committed_metrics_are_those_of_their_scores(tmp_path: Path) -> None:
    for name in ("scores", "evaluation"):
        shutil.copytree(ROOT / "metrics" / name, tmp_path / name)
    done = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert done.exit_code == 0, done.output


def test_what_is_neither_a_bundle_nor_metrics_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/part.json").write_text("{}", encoding="utf-8")
    for name, problem in (
        ("nowhere", "nowhere does not exist"),
        ("evaluation", "has neither manifest.json nor tables of scores"),
        ("evaluation/part.json", r"part\.json is no folder"),
    ):
        with pytest.raises(
            UserError, match=rf"{problem}: name a bundle, such as .*, or a folder of metrics, `metrics`"
        ):
            verify_folder(tmp_path / name)
