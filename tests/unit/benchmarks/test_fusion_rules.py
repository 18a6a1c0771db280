"""A branch of random numbers must not spoil oddpart, and the comparison of rules says what it computes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.fusion_rules import aurocs, compare_rules, fused_by_rule, fused_equally, mean_and_spread, read_run
from stages.core.io.tables import write_table
from stages.core.run.errors import UserError

HISTOGRAM: dict[str, Any] = {
    "weights": {"histogram_1x1": 0.9, "histogram_2x2": 0.8},
    "columns": {"histogram_1x1": {"edit_auroc": 0.95}, "histogram_2x2": {"edit_auroc": 0.9}},
}


def make_scores(*, seed: int) -> pd.DataFrame:
    """Branches of which the histograms see logical anomalies, the others structural and synthetic ones."""
    random = np.random.default_rng(seed)
    groups = {("validation", None): 40, ("synthetic", None): 40, ("test", "normal"): 200}
    groups |= {("test", "logical"): 200, ("test", "structural"): 200}
    rows = [key for key, count in groups.items() for _ in range(count)]
    table = pd.DataFrame(rows, columns=["split", "kind"])
    table.insert(0, "image_id", [f"{number:04}" for number in range(len(table))])
    structural = ((table["kind"] == "structural") | (table["split"] == "synthetic")).to_numpy()
    logical = (table["kind"] == "logical").to_numpy()
    for name, to_logical, to_structural in (
        ("histogram_1x1", 2.5, 0.0), ("histogram_2x2", 2.0, 0.3),
        ("student_teacher", 1.0, 1.5), ("neighbours", 0.5, 1.2),
    ):  # fmt: skip
        table[name] = random.normal(size=len(table)) + to_logical * logical + to_structural * structural
    return table


@pytest.mark.parametrize("seed", range(2))
def test_a_random_branch_changes_no_auroc_by_more_than_a_point(seed: int) -> None:
    table = compare_rules(make_scores(seed=seed), HISTOGRAM, chance=0.01, draws=15)
    assert all(abs(change) <= 1 for change in table["noise, rule: worst"].values())
    assert min(table["noise, equal weights: mean"].values()) < -1


def test_fifty_random_branches_at_once_hardly_change_anything_either() -> None:
    scores = make_scores(seed=0)
    random = np.random.default_rng(1)
    more = scores.drop(columns="kind").assign(**{f"noise_{n}": random.normal(size=len(scores)) for n in range(50)})
    before, after, equal = (
        aurocs(scores["split"], scores["kind"], one)
        for one in (
            fused_by_rule(scores.drop(columns="kind"), HISTOGRAM, chance=0.01),
            fused_by_rule(more, HISTOGRAM, chance=0.01),
            fused_equally(more, HISTOGRAM),
        )
    )
    assert min(after[kind] - before[kind] for kind in before) > -2
    assert min(equal[kind] - before[kind] for kind in before) < -10


def test_every_branch_is_shown_alone_and_in_percent() -> None:
    scores = make_scores(seed=0)
    table = compare_rules(scores, HISTOGRAM, chance=0.01, draws=1)
    assert list(table)[:8] == [
        "histogram", "student_teacher", "neighbours",
        "plain sum", "equal weights", "weighted sum", "Fisher, equal", "rule",
    ]  # fmt: skip
    students = aurocs(scores["split"], scores["kind"], scores["student_teacher"])
    assert table["student_teacher"] == pytest.approx(students)
    assert table["histogram"]["logical"] > 95
    assert 45 < table["histogram"]["synthetic"] < 70
    assert table["rule - equal"]["synthetic"] == pytest.approx(
        table["rule"]["synthetic"] - table["equal weights"]["synthetic"]
    )


def test_aurocs_by_hand() -> None:
    split = pd.Series(["validation", "synthetic", "synthetic", "test", "test", "test", "train"])
    kinds = pd.Series([None, None, None, "normal", "logical", "logical", "normal"])
    scores = pd.Series([1.0, 0.5, 2.0, 1.0, 3.0, 4.0, 99.0])
    assert aurocs(split, kinds, scores) == {"logical": 100.0, "synthetic": 50.0}


def test_runs_are_summed_up() -> None:
    assert mean_and_spread([90.0, 92.0, 91.0]) == "91.0 ± 1.0"
    assert mean_and_spread([90.04]) == "90.0"


def test_a_run_is_read_from_a_folder_and_a_missing_file_is_named(tmp_path: Path) -> None:
    scores = make_scores(seed=0)
    branches, truth = tmp_path / "artifacts/scores/a/oddpart", tmp_path / "artifacts/split/a/truth"
    write_table(branches / "branches.parquet", scores.drop(columns="kind"), columns=["image_id", "split"])
    tested = scores.loc[scores["split"] == "test", ["image_id", "kind"]]
    write_table(truth / "truth.parquet", tested, columns=["image_id", "kind"])
    with pytest.raises(UserError, match=r"metrics/choices/a/histogram.json at .* cannot be read \(FileNotFoundError"):
        read_run(str(tmp_path), "a")
    (tmp_path / "metrics/choices/a").mkdir(parents=True)
    (tmp_path / "metrics/choices/a/histogram.json").write_text(json.dumps(HISTOGRAM), encoding="utf-8")
    found, histogram = read_run(str(tmp_path), "a")
    assert histogram == HISTOGRAM
    assert found["kind"].value_counts().to_dict() == {"normal": 200, "logical": 200, "structural": 200}
