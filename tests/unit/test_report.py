"""The report from files made by hand: numbers, escaping, self-containment, and what is missing."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.core.errors import UserError
from stages.report.__main__ import main
from stages.report.charts import histogram_chart, unit_chart
from stages.report.gallery import CHOICES
from stages.report.pictures import PictureBudget
from stages.report.rows import COLUMNS, Row, missing_pairs, read_rows
from stages.report.table import main as print_table
from stages.report.table import markdown_table

ROOMS = {"ours": ["first", "second"], "theirs": ["third"]}
PARAMS = {"categories": {"tray": {}, "<b>&cell": {}}, "report": {"rooms_of_method": ROOMS}}
VOID = {"meta", "img", "br", "link", "input", "hr"}


def make_metrics() -> dict[str, Any]:
    groups = {"all": 0.9, "logical": 0.875, "structural": None}
    return {
        "images": {"normal": 2}, "image_auroc": groups, "defect_type_auroc": {"bent <pin>": 0.5}, "pixel_auroc": groups,
        "aupro": groups, "branches": {"map": groups}, "oracle_f1_max": 0.95,
        "threshold": {"value": 1.5, "false_alarm_budget": 0.05, "attainable_false_alarm_rate": 0.2, "normals": 4,
                      "normals_needed": 19},
        "at_threshold": {"f1": 0.5, "precision": None, "recall": 0.5, "false_alarm_rate": 0.1,
                         "detection_rate": groups},
        "reasons": {"image_auroc.structural": "no structural anomaly among the test images"},
    }  # fmt: skip


def make_result(number: int, *, anomalous: bool, score: float) -> dict[str, Any]:
    return {
        "image_id": f"test/{number}", "filename": f"test/<img> {number}.png",
        "kind": "logical" if anomalous else "normal",
        "defect_type": "bent <pin>" if anomalous else "good",
        "ground_truth": {"type": "anomaly", "is_anomalous": anomalous},
        "prediction": {"is_anomalous": score > 1.5, "anomaly_score": score, "anomaly_score_display": 0.25,
                       "heatmap_path": f"heatmaps/{number:04d}.jpg" if number else None},
        "correct": (score > 1.5) == anomalous, "branches": {"map": None}, "picture_path": f"pictures/{number:04d}.jpg",
    }  # fmt: skip


def make_evaluation(root: Path, method: str, category: str) -> None:
    folder, plots = root / "evaluations" / method / category, root / "metrics" / "plots" / method / category
    for place in (folder / "results", folder / "pictures", folder / "heatmaps", plots, root / "metrics" / method):
        place.mkdir(parents=True, exist_ok=True)
    for number, (anomalous, score) in enumerate([(False, 1.0), (False, 2.0), (True, 1.0), (True, 2.0)]):
        result = make_result(number, anomalous=anomalous, score=score)
        (folder / "results" / f"{number:04d}.json").write_text(json.dumps(result))
        for kind in ("pictures", "heatmaps"):
            (folder / kind / f"{number:04d}.jpg").write_bytes(b"jpeg")
    (folder / "overview.jpg").write_bytes(b"sheet")
    (root / "metrics" / method / f"{category}.json").write_text(json.dumps(make_metrics()))
    (plots / "roc.csv").write_text("false_positive_rate,true_positive_rate\n0,0\n0,1\n1,1\n")
    (plots / "precision_recall.csv").write_text("recall,precision\n")
    (plots / "scores.csv").write_text("score,normal,logical\n1.0,1,1\n2.0,1,1\n")


def make_costs(root: Path) -> None:
    for category, room, seconds in (("tray", "first", 1.4), ("tray", "second", 2.0), ("<b>&cell", "first", 1.0)):
        path = root / "metrics" / "cost" / category / f"{room}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds": seconds, "peak_mb": 10}))


class Page(HTMLParser):
    """Checks nesting, and collects what the page would load, its ids, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loads += [values[name] or "" for name in ("src", "srcset", "data", "poster") if name in values]
        self.loads += [values["href"] or ""] if tag == "link" else []
        self.links += [values["href"] or ""] if tag == "a" else []
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(json.dumps(PARAMS))
    make_evaluation(tmp_path, "ours", "tray")
    make_evaluation(tmp_path, "theirs", "tray")
    make_evaluation(tmp_path, "ours", "<b>&cell")
    make_costs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_report(root: Path) -> str:
    main(["--evaluations", str(root / "evaluations"), "--metrics", str(root / "metrics"),
          "--page", str(root / "out" / "index.html"), "--table", str(root / "metrics" / "table.md")])  # fmt: skip
    return (root / "out" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_for_nothing(root: Path) -> None:
    text = run_report(root)
    page = Page(text)
    assert page.open == []
    assert page.loads
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.loads)
    for forbidden in ("http:", "https:", "url(", "@import", "<script", "<link"):
        assert forbidden not in text
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert base64.b64decode(page.loads[0].partition(",")[2]) == b"sheet"


def test_names_are_escaped(root: Path) -> None:
    text = run_report(root)
    assert "<b>" not in text
    assert "<pin>" not in text
    assert "<b>&cell" in Page(text).texts


def test_the_page_says_what_is_missing_or_undefined(root: Path) -> None:
    text = "".join(Page(run_report(root)).texts)
    assert "Not evaluated: <b>&cell / theirs." in text
    assert "image_auroc.structural: no structural anomaly among the test images" in text
    assert "Too few normal images for this budget: 19 are needed." in text
    assert "False alarms, highest score first (1 of 1)" in text
    assert "Undefined: the test images are all of one class." in text  # the empty precision-recall curve


def test_pictures_over_the_budget_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 30)
    budget = PictureBudget(limit=100)  # 23 characters of prefix and 40 of base64 each
    assert budget.take(tmp_path / "a.jpg") is not None
    assert budget.take(tmp_path / "a.jpg") is None
    assert (budget.left, budget.left_out) == (37, 1)


def test_the_table(root: Path) -> None:
    run_report(root)
    lines = (root / "metrics" / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("| category | method | image AUROC logical | image AUROC struct. | image AUROC all |")
    assert lines[2] == "| tray | ours | 87.5 | – | 90.0 | 90.0 | 90.0 | 50.0 | 10.0 | 3 |"
    assert lines[3].startswith("| tray | theirs |")
    assert lines[4].endswith("| – |")  # the second room's cost is not known: no sum of a part
    assert {line.count("|") for line in lines[:5]} == {len(COLUMNS) + 3}


def test_the_table_is_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["--metrics", str(root / "metrics")])
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines() if line.startswith("tray")][0] == [
        "tray", "ours", "87.5", "–", "90.0", "90.0", "90.0", "50.0", "10.0", "3"
    ]  # fmt: skip
    assert max(map(len, out.splitlines())) <= 80


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert "a\\|b" in markdown_table([Row("a|b", "ours", {}, None)])


def test_nothing_evaluated_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no method of `report.rooms_of_method` was evaluated"):
        read_rows(tmp_path, categories=["tray"], rooms_of_method=ROOMS)


def test_a_damaged_file_is_named(root: Path) -> None:
    (root / "metrics" / "ours" / "tray.json").write_text("{")
    with pytest.raises(UserError, match=r"tray\.json: not readable as JSON"):
        read_rows(root / "metrics", categories=["tray"], rooms_of_method=ROOMS)


def test_old_results_of_a_removed_category_do_not_appear(root: Path) -> None:
    rows = read_rows(root / "metrics", categories=["tray"], rooms_of_method=ROOMS)
    assert [(row.category, row.method) for row in rows] == [("tray", "ours"), ("tray", "theirs")]
    assert missing_pairs(rows, categories=["tray"], methods=["ours", "theirs", "third"]) == ["third (off)"]


def test_a_unit_chart_maps_corners_to_corners() -> None:
    curve = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    chart = unit_chart("t", {"a": curve, "b": curve[:0]}, x="x", y="y")
    assert [line.points for line in chart.lines] == ["44.0,176.0 290.0,10.0"]


def test_a_histogram_shows_shares_and_a_threshold_outside_of_the_scores() -> None:
    bins = pd.DataFrame({"score": [1.0, 2.0], "normal": [3, 1], "logical": [0, 10]})
    chart = histogram_chart("t", bins, threshold=4.5)
    assert chart.marker == 290.0
    assert [tick.text for tick in chart.y_ticks] == ["0", "1"]
    assert chart.lines[0].points.split()[1] == "44.0,51.5"  # 3 of 4 normal images: 176 - 0.75 * 166


def test_strips_hold_every_image_once() -> None:
    results = [make_result(n, anomalous=n % 2 == 0, score=float(n)) for n in range(4)]
    found = [result["image_id"] for choice in CHOICES for result in choice.of(results)]
    assert sorted(found) == [result["image_id"] for result in results]


def test_strips_begin_with_what_is_furthest_off() -> None:
    missed, alarms, *_ = CHOICES
    assert [r["image_id"] for r in missed.of([make_result(n, anomalous=True, score=1 - n) for n in range(3)])] == [
        "test/2", "test/1", "test/0"
    ]  # fmt: skip
    assert [r["image_id"] for r in alarms.of([make_result(n, anomalous=False, score=2 + n) for n in range(3)])] == [
        "test/2", "test/1", "test/0"
    ]  # fmt: skip
