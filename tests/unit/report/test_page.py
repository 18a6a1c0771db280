"""The report from files made by hand: numbers, escaping, self-containment, and what is missing."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from commands.table import main as print_table
from commands.table import markdown_table
from stages.core.run.errors import UserError
from stages.report.__main__ import main
from stages.report.pictures import PictureStore, fitting_side
from stages.report.rows import COLUMNS, Row, missing_pairs, read_rows
from tests.unit.report.case import PARAMS, ROOMS, make_costs, make_curve, make_evaluation, save

PAIRS = [("tray", "ours"), ("tray", "theirs")]
VOID = {"meta", "img", "br", "link", "input", "hr"}


def page_data(text: str) -> dict[str, Any]:
    """The images and pictures that the page holds."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    content: dict[str, Any] = json.loads(found)
    return content


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
    make_curve(tmp_path, "tray")
    (tmp_path / "labels").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_report(root: Path) -> str:
    main(["--evaluations", str(root / "evaluations"), "--labels", str(root / "labels"),
          "--metrics", str(root / "metrics"), "--costs", str(root / "costs"),
          "--page", str(root / "out" / "index.html"), "--table", str(root / "metrics" / "table.md"),
          "--cost-overview", str(root / "metrics" / "cost.json")])  # fmt: skip
    return (root / "out" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_for_nothing(root: Path) -> None:
    text = run_report(root)
    page, data = Page(text), page_data(text)
    assert page.open == []
    assert page.loads == []  # pictures come from the page's own data
    assert data["pictures"]
    assert all(
        uri.startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) for uri in data["pictures"].values()
    )
    for forbidden in ("http:", "https:", "url(", "@import", "<script src", "<link", "fetch(", "XMLHttpRequest"):
        assert forbidden not in text
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_holds_every_image_of_every_method(root: Path) -> None:
    data = page_data(run_report(root))
    assert [(one["category"], one["method"]) for one in data["images"]] == [
        pair for pair in (("tray", "ours"), ("tray", "theirs"), ("<b>&cell", "ours")) for _ in range(4)
    ]
    first, second, third, last = data["images"][:4]
    assert (first["heatmap"], first["mask"], second["mask"]) == (None, None, None)
    assert last["explanations"][0]["box"] == [0.0, 0.25, 0.5, 0.75]
    assert (last["unsure"], last["anomalous"], third["correct"]) == (True, True, False)
    keys = {one[name] for one in data["images"] for name in ("picture", "heatmap", "mask") if one[name]}
    assert keys < set(data["pictures"])
    assert data["components"]["ours/tray"].keys() == {"1"}
    content = base64.b64decode(data["pictures"][last["mask"]].partition(",")[2])
    with Image.open(io.BytesIO(content)) as mask:
        assert mask.mode == "RGBA"


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
    assert "with too few normal images to bound it from above" in text
    assert "logical 87.5 %, structural –" in text
    assert "Undefined: the test images are all of one class." in text  # the empty precision-recall curve


def test_what_is_known_of_the_data_is_said(root: Path) -> None:
    assert "No findings were made about the data." in run_report(root)
    health = {
        "images": 7, "counts": {"train": {"normal": 7}}, "sizes": {"8 x 8": 7}, "anomalous_without_mask": 0,
        "duplicates": {"exact": 1, "near": 2, "exact_across_splits": 1, "near_across_splits": 0},
        "outliers": {"brightness": 3, "sharpness": 0},
        "named": {"outliers": [], "anomalous_without_mask": [],
                  "duplicates": [{"first": "<a>", "second": "b", "splits": ["train", "test"], "exact": True}]},
    }  # fmt: skip
    (root / "metrics/data_health").mkdir()
    (root / "metrics/data_health/tray.json").write_text(json.dumps(health))
    text = "".join(Page(run_report(root)).texts)
    assert "tray: 7 images" in text
    assert "1 pairs of the same or nearly the same image lie in two splits" in text
    assert "<a> (train) and b (test): the same file" in text


def test_training_curves_stand_with_their_category(root: Path) -> None:
    text = run_report(root)
    assert text.count("Training curves of tray") == 1
    assert "Training curves of &lt;b&gt;" not in text
    assert text.count("Training of segmentation") == 2  # its heading and its name for those who do not see it
    assert "Training of nothing" not in text
    (root / "metrics/plots/training/tray/nothing.csv").write_text("")
    with pytest.raises(SystemExit):
        run_report(root)


def test_strips_point_at_their_images(root: Path) -> None:
    text = run_report(root)
    data = page_data(text)
    positions = [[int(word) for word in found.split()] for found in re.findall(r'data-positions="([^"]*)"', text)]
    assert [data["images"][one]["filename"] for one in positions[0]] == ["test/<img> 2.png"]  # missed, of the first
    assert len(positions) == 4 * 3
    assert sorted(one for strip in positions for one in strip) == list(range(12))


def test_pictures_over_the_budget_are_counted(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 90)):
        save(tmp_path / f"{name}.jpg", (value, 0, 0))
    store = PictureStore(limit=1500)
    first = store.take(tmp_path / "a.jpg")
    assert first is not None
    assert store.take(tmp_path / "a.jpg") == first  # again: takes no more stage
    assert (store.take(tmp_path / "b.jpg"), store.left_out) == (None, 1)
    assert store.left == 1500 - len(store.uris[first])


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    Image.new("RGB", (256, 128)).save(tmp_path / "a.jpg")
    store = PictureStore(side=64)
    key = store.take(tmp_path / "a.jpg")
    assert key is not None
    with Image.open(io.BytesIO(base64.b64decode(store.uris[key].partition(",")[2]))) as picture:
        assert picture.size == (64, 32)


@pytest.mark.parametrize(("count", "side"), [(1, 256), (1900, 194), (10**6, 64)])
def test_the_more_pictures_the_smaller(count: int, side: int) -> None:
    assert fitting_side(count, 24 * 2**20) == side


def test_the_table(root: Path) -> None:
    run_report(root)
    lines = (root / "metrics" / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("| category | method | image AUROC logical | image AUROC struct. | image AUROC all |")
    assert lines[2] == "| tray | ours | 87.5 | – | 90.0 | 90.0 | 90.0 | 50.0 | 10.0 | 3 |"
    assert lines[3].startswith("| tray | theirs |")
    assert lines[4].endswith("| – |")  # the second stage's cost is not known: no sum of a part
    assert {line.count("|") for line in lines[:5]} == {len(COLUMNS) + 3}


def test_the_table_is_printed(root: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit):
        print_table(["--metrics", str(root / "metrics")])
    assert "the name '<b>&cell' does not consist of letters" in caplog.text
    run_report(root)
    (root / "params.yaml").write_text(json.dumps(PARAMS).replace("<b>&cell", "cell"))
    capsys.readouterr()
    print_table(["--metrics", str(root / "metrics")])
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines() if line.startswith("tray")][0] == [
        "tray", "ours", "87.5", "–", "90.0", "90.0", "90.0", "50.0", "10.0", "3"
    ]  # fmt: skip
    assert max(map(len, out.splitlines())) <= 80


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert "a\\|b" in markdown_table([Row("a|b", "ours", {}, None)])


def test_nothing_evaluated_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no method of `report.stages_of_method` was evaluated"):
        read_rows(tmp_path, pairs=PAIRS, costs={}, stages_of_method=ROOMS)


def test_a_damaged_file_is_named(root: Path) -> None:
    (root / "metrics" / "ours" / "tray.json").write_text("{")
    with pytest.raises(UserError, match=r"tray\.json: not readable as JSON"):
        read_rows(root / "metrics", pairs=PAIRS, costs={}, stages_of_method=ROOMS)


def test_old_results_of_a_removed_category_do_not_appear(root: Path) -> None:
    rows = read_rows(root / "metrics", pairs=PAIRS, costs={}, stages_of_method=ROOMS)
    assert [(row.category, row.method) for row in rows] == [("tray", "ours"), ("tray", "theirs")]
    assert missing_pairs(rows, categories=["tray"], methods=["ours", "theirs", "third"]) == ["third (off)"]
