"""The report from files made by hand: numbers, escaping, self-containment, and what is missing."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stages.report.pictures import PictureStore, fitting_side
from stages.report.run_cost import Cost, Reference
from tests.table import new_folder, violations
from tests.unit.report.case import EVALUATED, make_cost, make_curve, make_labels, make_report, run_report, save

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


def test_the_page_is_whole_and_asks_for_nothing(root: Path) -> None:
    text = run_report()
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
    data = page_data(run_report())
    assert [(one["category"], one["method"]) for one in data["images"]] == [
        (category, method) for method, category in EVALUATED for _ in range(4)
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
    text = run_report()
    assert "<b>" not in text
    assert "<pin>" not in text
    assert "<b>&cell" in Page(text).texts


def test_the_page_says_what_is_missing_or_undefined(root: Path) -> None:
    text = "".join(Page(run_report()).texts)
    assert "Not evaluated: <b>&cell / theirs." in text
    assert "image_auroc.structural: no structural anomaly among the test images" in text
    assert "Too few normal images for this budget: 19 are needed." in text
    assert "False alarms, highest score first (1 of 1)" in text
    assert "with too few normal images to bound it from above" in text
    assert "logical 87.5 %, structural –" in text
    assert "Undefined: the test images are all of one class." in text  # the empty precision-recall curve


def test_a_sentence_a_product_says_what_can_be_seen(root: Path) -> None:
    choices = {
        "first": {},
        "histogram": {"columns": {"1x1": {"weight": 0.0, "edit_auroc": 0.5, "reason": "no <component>"}}},
        "hybrid_fusion": {"far": {"weight": 1.0, "synthetic_auroc": 0.875}},
    }
    (root / "metrics/choices/tray").mkdir(parents=True)
    for stage, content in choices.items():
        (root / f"metrics/choices/tray/{stage}.json").write_text(json.dumps(content))
    params = json.loads((root / "params.yaml").read_text())
    params["methods"]["ours"]["stages"] += ["histogram", "hybrid_fusion"]
    (root / "params.yaml").write_text(json.dumps(params))
    text = run_report()
    words = "".join(Page(text).texts)
    assert words.index("What this run can see") < words.index("In this table")
    assert "tray: Logical anomalies: not covered, the branch of components is off: no <component>." in words
    assert "Structural anomalies: covered in part (synthetic defects score above normal images in 87.5%" in words
    assert "False alarms: 20.0% of good products expected, from 4 validation images" in words
    assert "What would help: 15 more normal validation images" in words
    assert "<component>" not in text
    assert "<b>&cell: Logical anomalies: not covered, the method looks for no components." in words


def test_the_first_method_is_shown_and_others_on_request(root: Path) -> None:
    text = run_report()
    first, _, rest = text.partition("<summary>All methods</summary>")
    assert first.count("<td>ours</td>") == 2
    assert "<td>theirs</td>" not in first
    assert rest.count("<td>theirs</td>") == 1
    before, _, others = text.partition("<summary>Other methods: theirs</summary>")
    assert "<h3>tray: ours</h3>" in before
    assert "<h3>tray: theirs</h3>" in others
    assert [one["main"] for one in page_data(text)["images"]] == [True] * 4 + [False] * 4 + [True] * 4


def test_scores_are_multiples_with_a_p_value(root: Path) -> None:
    first, second, *_ = page_data(run_report())["images"]
    assert (first["badge"], first["multiple"]) == ("0.0 x threshold distance, p = 0.5", 0.0)
    assert (second["badge"], second["multiple"]) == ("2.0 x threshold distance, p = 0.5", 2.0)


def test_names_of_components_are_put_in_where_they_are_shown(root: Path) -> None:
    make_labels(root, "tray")
    text = run_report()
    data = page_data(text)
    assert data["images"][0]["explanations"][0]["text"] == "the <i>label smaller (0.5 x): top"
    assert data["images"][8]["explanations"][0]["text"] == "component 1 smaller (0.5 x): top"
    assert "Names: 1 the <i>label." in "".join(Page(text).texts)
    assert "<i>" not in text
    (result,) = (root / "evaluations/tray/ours/results").glob("0000.json")
    assert json.loads(result.read_text())["explanations"][0]["text"] == "component 1 smaller (0.5 x): top"


def test_the_run_is_compared_with_the_reference(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Is my run normal? Nothing to compare" in "".join(Page(run_report()).texts)
    reference = Reference(
        "2 <cores>", "embedded", {"tray": 7}, {"tray/first": Cost(1.0, 2.0, 10), "tray/second": Cost(50.0)}
    )
    monkeypatch.setattr("stages.report.__main__.read_reference", lambda: reference)
    make_health(root, "tray")
    make_cost(root, "tray", "first", 9.5)
    text = run_report()
    words = "".join(Page(text).texts)
    assert "Is my run normal? 1 of 2 stages are, or are faster" in words
    cells = "".join(f'<td class="number">{cell}</td>' for cell in ("10 (1)", "– (2)", "10 (10)"))
    assert f"<td>tray</td><td>first</td>{cells}<td>slower (9.5 x)</td>" in text
    assert "the same stage on the reference machine, 2 <cores>" in words


def make_health(root: Path, category: str) -> dict[str, Any]:
    """Findings about seven images."""
    health = {
        "images": 7, "counts": {"train": {"normal": 7}}, "sizes": {"8 x 8": 7}, "anomalous_without_mask": 0,
        "duplicates": {"exact": 1, "near": 2, "exact_across_splits": 1, "near_across_splits": 0},
        "outliers": {"brightness": 3, "sharpness": 0},
        "named": {"outliers": [], "anomalous_without_mask": [],
                  "duplicates": [{"first": "<a>", "second": "b", "splits": ["train", "test"], "exact": True}]},
    }  # fmt: skip
    (root / "metrics/data_health").mkdir()
    (root / f"metrics/data_health/{category}.json").write_text(json.dumps(health))
    return health


def test_what_is_known_of_the_data_is_said(root: Path) -> None:
    assert "No findings were made about the data." in run_report()
    health = make_health(root, "tray")
    text = "".join(Page(run_report()).texts)
    assert "tray: 7 images" in text
    assert "1 pairs of the same or nearly the same image lie in two splits" in text
    assert "<a> (train) and b (test): the same file" in text
    health |= {"masks": {"count": 6, "doubtful": 1, "median_marked": 2.67, "largest_marked": 69.33}, "one_colour": 0}
    health["named"]["doubtful_masks"] = [{"path": "masks/<b>.png", "doubt": "marks 69.3% of the image"}]
    (root / "metrics/data_health/tray.json").write_text(json.dumps(health))
    text = "".join(Page(run_report()).texts)
    assert "6 masks mark 2.67 % of their image in the middle and 69.3 % at most." in text
    assert "1 of them may be wrong, and count in pixel metrics" in text
    assert "masks/<b>.png: marks 69.3% of the image" in text


def test_training_curves_stand_with_their_category(root: Path) -> None:
    make_curve(root, "tray")
    text = run_report()
    assert text.count("Training curves of tray") == 1
    assert "Training curves of &lt;b&gt;" not in text
    assert text.count("Training of segmentation") == 2  # its heading and its name for those who do not see it
    assert "Training of nothing" not in text


def test_strips_point_at_their_images(root: Path) -> None:
    text = run_report()
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
    assert store.take(tmp_path / "a.jpg") == first  # again: takes no more space
    assert (store.take(tmp_path / "b.jpg"), store.excluded) == (None, 1)
    assert store.free == 1500 - len(store.uris[first])


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    Image.new("RGB", (256, 128)).save(tmp_path / "a.jpg")
    store = PictureStore(side=64)
    key = store.take(tmp_path / "a.jpg")
    assert key is not None
    with Image.open(io.BytesIO(base64.b64decode(store.uris[key].partition(",")[2]))) as picture:
        assert picture.size == (64, 32)


def test_the_more_pictures_the_smaller() -> None:
    def check(count: int, side: int) -> None:
        assert fitting_side(count, 24 * 2**20) == side

    rows = [(1, 256), (1900, 194), (10**6, 64)]
    assert violations(check, rows) == []


def test_component_labels_are_shown_where_there_are_any(root: Path) -> None:
    make_labels(root, "tray")
    text = run_report()
    pictures = {key: base64.b64decode(uri.partition(",")[2]) for key, uri in page_data(text)["pictures"].items()}
    for name in (b"overlays", b"classes"):
        (key,) = [key for key, content in pictures.items() if content == name]
        assert text.count(f'data-picture="{key}"') == 1
    assert "6.0 ± 0.5 components an image, 4 classes, 2 of 3 images labelled, <strong>1 to look at" in text
    assert "no component in 1 of &lt;3&gt; images" in text
    assert "Proposer dense_clusters: few &lt;parts&gt;; words: a person&#39;s." in text
    assert "IoU of matched components 62.5 %" in text
    assert text.count("Component labels by") == 1
    assert "Every proposer that was tried, on 2 of these images" in text
    cells = ("dense_clusters (chosen)", "7.0 ± 0.2", "30.0 %", "37.5 %", "25.0 %", "8.5")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in text
    assert '<td>other</td><td>1.0 ± 0.0</td><td>10.0 %</td><td colspan="3">no truth for these images</td>' in text


def test_without_true_components_the_labels_are_shown_without_agreement(root: Path) -> None:
    make_labels(root, "tray")
    (root / "metrics/components/tray.json").write_text(json.dumps({"proposed": None, "trials": {}}))
    text = run_report()
    assert text.count("Component labels by") == 1
    assert "IoU of matched" not in text


def leave_out(path: Path, key: str) -> None:
    """Take a key out of the metrics or results of `ours` on tray."""
    content = json.loads(path.read_text())
    del content.get("ours", content)[key]
    path.write_text(json.dumps(content))


def write(path: Path, text: str) -> None:
    """Make a file hold something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_one_broken_product_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def check(change: Callable[..., object], path: str, *words: str) -> None:
        caplog.clear()
        root = new_folder(tmp_path)
        make_report(root)
        monkeypatch.chdir(root)
        change(root / path, *words)
        text = run_report()
        page = Page(text)
        assert page.open == []
        assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
        assert "Not shown:" in page.texts
        assert "tray is not on the page" in caplog.text
        assert {one["category"] for one in page_data(text)["images"]} == {"<b>&cell"}
        table = (root / "metrics/table.md").read_text(encoding="utf-8")
        assert [line.split(" | ")[0] for line in table.splitlines()[2:5]] == ["| tray", "| tray", "| <b>&cell"]

    rows = [
        (leave_out, "metrics/evaluation/tray.json", "threshold"),
        (leave_out, "metrics/evaluation/tray.json", "uncertainty"),
        (leave_out, "evaluations/tray/ours/results/0001.json", "prediction"),
        (write, "evaluations/tray/ours/results/0001.json", "{"),
        (write, "metrics/plots/tray/roc.csv", ""),
        (write, "metrics/plots/training/tray/nothing.csv", ""),
        (write, "metrics/plots/tray/scores.csv", "method,score\nours,1\n"),
        (write, "metrics/data_health/tray.json", '{"images": 3}'),
        (Path.unlink, "evaluations/tray/ours/pictures/0001.jpg"),
        (shutil.rmtree, "evaluations/tray"),
        (Path.unlink, "evaluations/tray/ours/calibration.json"),
        (write, "evaluations/tray/theirs/calibration.json", "{}"),
        (write, "metrics/choices/tray/first.json", "["),
    ]
    assert violations(check, rows) == []


def test_a_damaged_picture_costs_itself_only(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "evaluations/tray/ours/pictures/0001.jpg").write_bytes(b"no picture")
    text = run_report()
    assert "pictures/0001.jpg is not on the page" in caplog.text
    assert "1 pictures are not in this page" in text
    assert len(page_data(text)["images"]) == 12
