"""Our numbers on MVTec LOCO AD next to the published ones."""

import json
from pathlib import Path

import pandas as pd
import pytest

from commands.published.loco import KINDS, REPORTED, THESIS, read_runs, show_runs, text_of, with_averages
from stages.core.run.errors import UserError

CATEGORIES = ["breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"]


def write_run(folder: Path, run: str, category: str, logical: float | None, structural: float) -> None:
    (folder / run).mkdir(parents=True, exist_ok=True)
    metrics = {"aecsad": {"image_auroc": {"logical": logical, "structural": structural}}}
    (folder / run / f"{category}.json").write_text(json.dumps(metrics), encoding="utf-8")


def test_the_reference_tables_agree_with_themselves() -> None:
    """The averages that table 5.1 prints are those of its rows, rounded, and its totals those of its averages."""
    table = pd.read_csv(THESIS).set_index(["category", "kind"])
    for kind in KINDS:
        rows = table.loc[[(category, kind) for category in CATEGORIES]]
        assert (rows.mean() - table.loc[("average", kind)]).abs().max() < 0.061  # one of them is cut, not rounded
    both = (table.loc[("average", "logical")] + table.loc[("average", "structural")]) / 2
    assert (both - table.loc[("average", "total")]).abs().max() < 0.11
    reported = pd.read_csv(REPORTED).set_index("method")["mean"]
    assert reported["AeCSAD"] == table.loc[("average", "total"), "aecsad"]
    assert reported["CSAD"] == 95.3
    whole = pd.read_csv(REPORTED)
    assert whole["source"].notna().all()
    assert set(whole["leak_free"].str.split(" ").str[0]) == {"yes", "no", "unknown"}
    both = whole[whole["logical"].notna()]  # the mean is that of both kinds, up to rounding; CSAD's is as printed
    assert ((both["logical"] + both["structural"]) / 2 - both["mean"]).abs().max() < 0.11


def test_averages_go_over_categories_within_each_run(tmp_path: Path) -> None:
    for seed, (first, second) in enumerate([(0.9, 0.7), (0.8, 0.6)]):
        write_run(tmp_path, f"seed-{seed}", "pushpins", first, 0.5)
        write_run(tmp_path, f"seed-{seed}", "screw_bag", second, 0.7)
    runs = with_averages(read_runs(tmp_path, method="aecsad"))
    assert runs["average", "logical"] == pytest.approx([80.0, 70.0])
    assert runs["average", "structural"] == pytest.approx([60.0, 60.0])
    assert runs["average", "total"] == pytest.approx([70.0, 65.0])
    assert text_of(runs["average", "logical"]) == "75.0 ± 7.1"
    assert text_of([91.26]) == "91.3"
    assert text_of([]) == "–"


def test_the_table_has_our_column_and_no_partial_average(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write_run(tmp_path, "seed-0", "pushpins", 0.987, 0.912)
    show_runs(tmp_path, method="aecsad")
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["pushpins", "logical"] == ["69.0", "63.6", "65.1", "97.7", "95.7", "99.6", "100.0", "98.7"]
    assert rows["pushpins", "structural"][-1] == "91.2"
    assert rows["screw_bag", "logical"][-1] == "–"
    assert rows["average", "total"][-2:] == ["95.0", "–"] or rows["average", "total"][-2:] == ["95.1", "–"]
    assert rows["ours", "98.7"][:2] == ["91.2", "95.0"]


def test_missing_numbers_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in it"):
        read_runs(tmp_path, method="aecsad")
    write_run(tmp_path, "seed-0", "pushpins", None, 0.9)
    with pytest.raises(UserError, match=r"pushpins\.json: no logical image AUROC"):
        read_runs(tmp_path, method="aecsad")
    write_run(tmp_path, "seed-0", "pushpins", 0.9, 0.9)
    write_run(tmp_path, "seed-1", "pushpins", 0.9, 0.9)
    write_run(tmp_path, "seed-1", "screw_bag", 0.9, 0.9)
    with pytest.raises(UserError, match="different numbers of runs"):
        with_averages(read_runs(tmp_path, method="aecsad"))
    with pytest.raises(UserError, match=r"pushpins\.json: no method sir: evaluated are aecsad"):
        read_runs(tmp_path, method="sir")
