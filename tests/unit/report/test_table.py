"""The overview in Markdown and in the terminal: which rows, which numbers, and what is missing."""

import json
from pathlib import Path

import pytest

from commands.table import show_table
from stages.core.run.errors import UserError
from stages.core.run.methods import load_methods
from stages.report.rows import COLUMNS, Row, missing_pairs, read_rows
from stages.report.table import markdown_table
from tests.unit.report.case import CATEGORIES, METHODS, PARAMS, add_metrics, make_metrics, run_report


def change_params(**changes: object) -> None:
    Path("params.yaml").write_text(json.dumps({**PARAMS, **changes}))


def change_products(*names: str) -> None:
    """Other products, all of them scored by `ours`."""
    products: dict[str, object] = {name: {} for name in names}
    change_params(categories=products, methods={**METHODS, "ours": {**METHODS["ours"], "categories": products}})


def test_the_table(root: Path) -> None:
    run_report()
    lines = (root / "metrics/table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("| category | method | image AUROC logical | image AUROC struct. | image AUROC all |")
    assert lines[2] == "| tray | ours | 87.5 | – | 90.0 | 90.0 | 90.0 | 50.0 | 10.0 | 3 |"
    assert lines[3].startswith("| tray | theirs |")
    assert lines[4].endswith("| – |")  # the second stage's cost is not known: no sum of a part
    assert {line.count("|") for line in lines[:5]} == {len(COLUMNS) + 3}


def test_the_table_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="the name '<b>&cell' does not consist of letters"):
        show_table(Path("metrics"))
    with pytest.raises(UserError, match="elsewhere .--metrics. does not exist"):
        show_table(Path("elsewhere"))
    change_products("tray", "cell")
    capsys.readouterr()
    show_table(Path("metrics"))
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines() if line.startswith("tray")][0] == [
        "tray", "ours", "87.5", "–", "90.0", "90.0", "90.0", "50.0", "10.0", "3"
    ]  # fmt: skip
    assert max(map(len, out.splitlines())) <= 80


def test_repetitions_have_a_table_of_their_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spread = {"all": 0.25, "logical": None, "structural": None}
    found = {"count": 2, "image_auroc_mean": make_metrics()["image_auroc"], "image_auroc_deviation": spread}
    add_metrics(root, "ours", "tray", {**make_metrics(), "repetitions": found})
    page = run_report()
    line = ["tray", "ours", "2", "87.5", "–", "90.0 ± 25.0"]
    assert f"| {' | '.join(line)} |" in Path("metrics/table.md").read_text(encoding="utf-8")
    assert "".join(f'<td class="number">{value}</td>' for value in line[2:]) in page
    change_products("tray")
    capsys.readouterr()
    show_table(Path("metrics"))
    assert " ".join(line) in " ".join(capsys.readouterr().out.split())


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert "a\\|b" in markdown_table([Row("a|b", "ours", {}, None)])


def test_results_of_what_is_off_or_removed_are_not_shown(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_metrics(root, "theirs", "<b>&cell", make_metrics())
    add_metrics(root, "ours", "gone", make_metrics())
    rows = read_rows(root / "metrics", load_methods(), {})
    assert [(row.category, row.method) for row in rows] == [("tray", "ours"), ("tray", "theirs"), ("<b>&cell", "ours")]
    assert "<b>&cell: not shown, switched off since the evaluation: theirs" in caplog.text


def test_the_order_is_that_of_the_params_and_what_is_missing_is_named(root: Path) -> None:
    third = {"categories": {}, "stages": []}
    fourth = {"categories": CATEGORIES, "stages": []}
    change_params(methods={"third": third, "fourth": fourth, **dict(reversed(METHODS.items()))})
    methods = load_methods()
    rows = read_rows(root / "metrics", methods, {})
    assert [(row.category, row.method) for row in rows] == [("tray", "theirs"), ("tray", "ours"), ("<b>&cell", "ours")]
    assert missing_pairs(rows, methods) == [
        "tray / fourth", "<b>&cell / fourth", "<b>&cell / theirs", "third (off)"
    ]  # fmt: skip


def test_nothing_evaluated_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match="no method of `methods` in params.yaml was evaluated"):
        read_rows(root / "elsewhere", load_methods(), {})


@pytest.mark.parametrize("content", ["{", '{"ours": 1}', '{"ours": {"image_auroc": {"all": "high"}}}'])
def test_a_damaged_file_is_named_and_costs_no_other_product_its_rows(
    root: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (root / "metrics/evaluation/tray.json").write_text(content)
    assert [row.category for row in read_rows(root / "metrics", load_methods(), {})] == ["<b>&cell"]
    assert "tray is not shown" in caplog.text
    (root / "metrics/evaluation/<b>&cell.json").write_text("")
    with pytest.raises(UserError, match="no method of `methods` in params.yaml was evaluated"):
        read_rows(root / "metrics", load_methods(), {})


def test_what_was_not_measured_is_explained(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_products("tray", "cell")
    metrics = make_metrics()
    metrics["image_auroc"] = dict.fromkeys(metrics["image_auroc"])
    metrics["reasons"] = {"image_auroc.all": "no anomalous test image"}
    add_metrics(root, "ours", "tray", metrics)
    show_table(Path("metrics"))
    reason = "tray: detection was not measured: no anomalous test image"
    assert reason in capsys.readouterr().out
    assert f"\n- {reason}\n" in markdown_table(read_rows(root / "metrics", load_methods(), {}))
