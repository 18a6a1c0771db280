"""Comparing revisions: the statistics, the verdicts, and a real repository without DVC's cache."""

import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from commands.app import app
from commands.compare.comparison import as_markdown, as_text
from commands.compare.differences import (
    Metric,
    compare,
    delong_difference,
    hanley_mcneil_error,
    matched_pairs_error,
    standard_error,
)
from commands.compare.revisions import Evaluated, read_revision
from stages.core.run.errors import UserError
from stages.evaluation.outputs import write_tracked_scores
from tests.table import violations

RUNNER = CliRunner()
KEY = ("tray", "ours")
AUROC = Metric("logical", "image_auroc", ("image_auroc", "logical"))
KINDS = ["normal"] * 60 + ["logical"] * 40


def make_scores(shift: float, *, seed: int = 0, noise: float = 0.3) -> pd.DataFrame:
    """The same images each time, with a little own noise; anomalies lie `shift` above the normal ones."""
    generator = np.random.default_rng(7)
    base = generator.normal(size=len(KINDS)) + shift * (np.array(KINDS) == "logical")
    scores = base + np.random.default_rng(seed).normal(scale=noise, size=len(KINDS))
    ids = [f"test/{n:03d}" for n in range(len(KINDS))]
    return pd.DataFrame({"kind": KINDS, "score": scores}, index=pd.Index(ids, name="image_id"))


def auroc(scores: pd.DataFrame) -> float:
    normal, anomalous = (scores["score"][scores["kind"] == kind].to_numpy() for kind in ("normal", "logical"))
    return float(np.mean(anomalous[:, None] > normal))


def make_side(scores: pd.DataFrame | None, **changes: Any) -> Evaluated:
    value = 0.9 if scores is None else auroc(scores)
    metrics: dict[str, Any] = {
        "images": {"normal": 60, "all": 40, "logical": 40, "structural": 0},
        "image_auroc": {"all": value, "logical": value, "structural": None},
        "threshold": {"value": 1.0},
        **changes,
    }
    return Evaluated(metrics, {}, scores)


def verdicts(old: Evaluated | None, new: Evaluated | None, *, tolerance: float = 0.0) -> dict[tuple[str, str], str]:
    sides = [{KEY: side} if side else {} for side in (old, new)]
    return {(row.kind, row.metric): row.verdict for row in compare(*sides, confidence=0.95, tolerance=tolerance)}


def test_a_clear_change_is_significant_both_ways() -> None:
    weak, strong = make_side(make_scores(0.5)), make_side(make_scores(2.5, seed=1))
    assert verdicts(weak, strong)[("logical", "image_auroc")] == "gain"
    assert verdicts(strong, weak)[("logical", "image_auroc")] == "drop"
    assert verdicts(strong, strong)[("logical", "image_auroc")] == "noise"


def test_the_tolerance_turns_a_significant_change_into_noise() -> None:
    weak, strong = make_side(make_scores(0.5)), make_side(make_scores(2.5, seed=1))
    assert verdicts(weak, strong, tolerance=0.9)[("logical", "image_auroc")] == "noise"


def test_another_draw_of_noise_is_noise() -> None:
    found = [verdicts(make_side(make_scores(1, seed=n)), make_side(make_scores(1, seed=n + 100))) for n in range(40)]
    significant = [one[("logical", "image_auroc")] != "noise" for one in found]
    assert np.mean(significant) <= 0.12  # 5 % are expected


def test_pairs_are_joined_by_image_and_sharper_than_samples() -> None:
    old, new = make_scores(1.0), make_scores(1.5, seed=1)
    error = standard_error(AUROC, make_side(old), make_side(new.sample(frac=1, random_state=3)), confidence=0.95)
    columns = [old["score"], new["score"]]
    chosen = [np.stack([column[old["kind"] == kind] for column in columns]) for kind in ("normal", "logical")]
    assert error == pytest.approx(delong_difference(*chosen).standard_error, abs=1e-12)
    other_images = new.rename(index=lambda name: name.replace("test", "x"))
    apart = standard_error(AUROC, make_side(old), make_side(other_images), confidence=0.95)
    assert apart is not None and error is not None and apart > 1.5 * error


def test_one_image_of_a_class_gives_no_interval_and_no_verdict() -> None:
    old, new = (make_scores(shift).iloc[59:] for shift in (0.0, 9.0))
    (row, *_) = compare({KEY: make_side(old)}, {KEY: make_side(new)}, confidence=0.95, tolerance=0.0)
    assert (row.verdict, row.low, row.high) == ("noise", None, None)
    assert row.difference is not None and math.isfinite(row.difference)


def test_rates_on_the_same_images() -> None:
    called = np.array([[0, 1]] * 10 + [[1, 0]] * 2 + [[1, 1]] * 30 + [[0, 0]] * 18) > 0
    # Agresti and Min: n* = 62, 10.5 and 2.5 of them.
    p, q = 10.5 / 62, 2.5 / 62
    assert matched_pairs_error(called) == pytest.approx(math.sqrt((p + q - (p - q) ** 2) / 62))
    assert matched_pairs_error(called[12:]) == 0.0


def test_fewer_false_alarms_are_a_gain() -> None:
    sides = [make_side(make_scores(1.0), threshold={"value": value}, at_threshold={"false_alarm_rate": rate})
             for value, rate in ((-1.0, 0.85), (2.0, 0.03))]  # fmt: skip
    assert verdicts(*sides)[("normal", "false_alarm_rate")] == "gain"
    assert verdicts(*reversed(sides))[("normal", "false_alarm_rate")] == "drop"


def test_pixel_metrics_use_the_intervals_of_both_sides() -> None:
    sides = []
    for value in (0.70, 0.74):
        interval = [value - 0.0196, value + 0.0196]
        sides.append(Evaluated({"images": {}, "aupro": {"all": value}}, {"aupro": {"all": interval}}, None))
    (row,) = compare({KEY: sides[0]}, {KEY: sides[1]}, confidence=0.95, tolerance=0.0)
    assert (row.metric, row.verdict) == ("aupro", "gain")
    assert row.low == pytest.approx(0.04 - 1.96 * math.hypot(0.01, 0.01), abs=1e-4)


def test_without_any_interval_a_metric_is_excluded_and_named(caplog: pytest.LogCaptureFixture) -> None:
    sides = [Evaluated({"images": {}, "aupro": {"all": value}}, {}, None) for value in (0.7, 0.9)]
    assert compare({KEY: sides[0]}, {KEY: sides[1]}, confidence=0.95, tolerance=0.0) == []
    assert "tray, ours: no interval of aupro (all) on either side: excluded" in caplog.text


def test_old_commits_without_scores_are_compared_too() -> None:
    # Hanley and McNeil 1982, by hand: A = 0.9, Q1 = 0.9 / 1.1, Q2 = 1.62 / 1.9, 60 normal and 40 anomalous images.
    spread = 0.09 + 39 * (0.9 / 1.1 - 0.81) + 59 * (1.62 / 1.9 - 0.81)
    assert hanley_mcneil_error(0.9, 60, 40) == pytest.approx(math.sqrt(spread / 2400))
    old, new = make_side(None), make_side(make_scores(1.0))
    assert verdicts(old, new)[("logical", "image_auroc")] in ("noise", "drop")


def test_what_is_gone_is_missing_and_what_is_new_is_added() -> None:
    side = make_side(make_scores(1.0))
    assert set(verdicts(side, None).values()) == {"missing"}
    assert set(verdicts(None, side).values()) == {"added"}
    null = make_side(make_scores(1.0), image_auroc={"all": None, "logical": None, "structural": None})
    assert verdicts(side, null) == {("all", "image_auroc"): "missing", ("logical", "image_auroc"): "missing"}
    assert verdicts(null, null) == {}


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments],
                   cwd=root, check=True, capture_output=True)  # fmt: skip


def write_sides(root: Path, **sides: Evaluated) -> None:
    """Write the files of the product `tray` with these methods, and one of another stage."""
    for folder in ("evaluation", "intervals", "scores", "cost/tray"):
        (root / "metrics" / folder).mkdir(parents=True, exist_ok=True)
    metrics = {method: side.metrics for method, side in sides.items()}
    (root / "metrics/evaluation/tray.json").write_text(json.dumps(metrics))
    intervals = {method: side.intervals for method, side in sides.items()}
    (root / "metrics/intervals/tray.json").write_text(json.dumps(intervals))
    (root / "metrics/cost/tray/first.json").write_text('{"seconds": 1.0}')
    scores = {method: side.scores.reset_index() for method, side in sides.items() if side.scores is not None}
    write_tracked_scores(root / "metrics/scores/tray.csv", scores)


def write_old_layout(root: Path) -> None:
    """Write metrics as they lay before: a file a method and category."""
    (root / "metrics/ours").mkdir(parents=True)
    (root / "metrics/ours/tray.json").write_text(json.dumps(make_side(None).metrics))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commits of the old layout, of a weak and two strong runs; what DVC would have in its cache is nowhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    git(tmp_path, "init", "-q")
    write_old_layout(tmp_path)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    shutil.rmtree(tmp_path / "metrics")
    for number, shift in enumerate((0.5, 2.5)):
        write_sides(tmp_path, ours=make_side(make_scores(shift, seed=number)))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", "x")
    write_sides(tmp_path, ours=make_side(make_scores(2.5, seed=1)), theirs=make_side(make_scores(1.0)))
    tracked = "outs: [artifacts/missing]\n    metrics: [metrics/evaluation/tray.json: {cache: false}]\n"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  a:\n    cmd: x\n    {tracked}")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    return tmp_path


def run(root: Path, *arguments: str) -> Mapping[str, Any]:
    done = RUNNER.invoke(app, ["compare", *arguments, "--format", "json", "--output", str(root / "out/c.json")])
    assert done.exit_code == 0
    content: dict[str, Any] = json.loads((root / "out/c.json").read_text())
    return content


def test_revisions_of_a_repository(repository: Path) -> None:
    found = run(repository, "HEAD~2", "HEAD~1")
    assert (found["old"], found["new"]) == ("HEAD~2", "HEAD~1")
    rows = {(row["method"], row["kind"], row["metric"]): row for row in found["rows"]}
    row = rows[("ours", "logical", "image_auroc")]
    assert list(row) == ["category", "method", "kind", "metric", "old", "new", "difference", "low", "high", "verdict"]
    assert row["verdict"] == "gain"
    assert row["low"] < row["difference"] < row["high"]
    assert row["old"] == auroc(make_scores(0.5, seed=0))
    assert {row["verdict"] for row in run(repository, "HEAD~1", "HEAD")["rows"] if row["method"] == "ours"} == {"noise"}
    assert {row["verdict"] for row in run(repository, "HEAD~1", "HEAD")["rows"] if row["method"] == "theirs"} == {
        "added"
    }


def test_the_workspace_is_a_revision_and_a_lost_method_is_missing(repository: Path) -> None:
    path = repository / "metrics/evaluation/tray.json"
    path.write_text(json.dumps({"ours": json.loads(path.read_text())["ours"]}))
    rows = run(repository, "HEAD", "workspace")["rows"]
    assert {row["verdict"] for row in rows if row["method"] == "theirs"} == {"missing"}
    assert {row["new"] for row in rows if row["method"] == "theirs"} == {None}


def test_text_and_markdown(repository: Path) -> None:
    printed = RUNNER.invoke(app, ["compare", "HEAD~2", "HEAD"]).stdout
    assert "HEAD~2 compared with HEAD" in printed
    assert "gain" in printed
    RUNNER.invoke(app, ["compare", "HEAD~2", "HEAD", "--format", "markdown", "--output", "c.md"])
    lines = Path("c.md").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "| category | method | kind | metric | old | new | difference | interval | verdict |"
    assert {line.count("|") for line in lines[2:-2]} == {10}
    odd = compare({("a|b", "[red]\x1b[2J\u202e"): make_side(None)}, {}, confidence=0.95, tolerance=0.0)
    assert "a\\|b" in as_markdown("x", "y", odd)
    assert "[red]\\x1b[2J\\u202e" in as_text("x", "y", odd).replace("\n", "")


def test_mistakes_end_with_one_message(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    def check(arguments: list[str], message: str) -> None:
        caplog.clear()
        assert RUNNER.invoke(app, ["compare", *arguments]).exit_code == 1
        assert message in caplog.text

    rows = [
        (["nonsense", "HEAD"], "'nonsense' cannot be read"),
        (["HEAD", "HEAD", "--metrics", "elsewhere"], "no evaluation"),
        (["HEAD~3", "HEAD"], "HEAD~3: from before the new layout of metrics (metrics/ours/tray.json is now part of"),
        (["HEAD", "HEAD", "--tolerance", "-1"], "is negative"),
        (["HEAD", "HEAD", "--confidence", "95"], "between 0 and 1"),
    ]
    assert violations(check, rows) == []


def test_a_damaged_file_is_named(repository: Path) -> None:
    (repository / "metrics/evaluation/tray.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics/evaluation/tray\.json at workspace: not JSON"):
        read_revision("workspace", "metrics")
