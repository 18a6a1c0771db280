"""The component labels as people see them: agreement by hand, warnings, pictures, and their place in the report."""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.aecsad.cluster.review import review, warnings_of, write_sheets
from stages.aecsad.cluster.sheets import class_colours, classes_of_components, overlay
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.io.components import ComponentMaps
from stages.evaluation.components import agreement, pairwise_iou, true_instances
from tests.unit.report.test_page import PARAMS, make_costs, make_evaluation, page_data, run_report

SIZE = 40


def boxes(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """An instance map; later boxes over earlier ones."""
    found = np.zeros((SIZE, SIZE), dtype=np.uint16)
    for number, (top, left, bottom, right) in enumerate(corners, start=1):
        found[top:bottom, left:right] = number
    return found


def write_truth(folder: Path, image_id: str, classes: np.ndarray) -> None:
    path = folder / "components" / f"{image_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(classes.astype(np.uint8)).save(path)


def test_iou_of_every_pair() -> None:
    rows, columns = boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes((0, 0, 10, 5), (0, 5, 10, 20), (25, 20, 35, 30))
    np.testing.assert_allclose(pairwise_iou(rows, columns), [[0.5, 50 / 200, 0], [0, 0, 50 / 150]])


def test_true_components_are_the_regions_of_each_class() -> None:
    classes = np.zeros((SIZE, SIZE), dtype=np.uint8)
    classes[0:10, 0:10] = classes[20:30, 20:30] = 2
    classes[0:10, 10:20] = 1  # touches a region of another class
    classes[39, 39] = 1  # a sliver
    assert true_instances(classes, size=SIZE).max() == 3
    assert true_instances(classes.repeat(2, 0).repeat(2, 1), size=SIZE).max() == 3


def test_agreement_is_one_to_one_over_all_images(tmp_path: Path) -> None:
    write_truth(tmp_path, "train/good/a", boxes((0, 0, 10, 10), (20, 20, 30, 30)))
    write_truth(tmp_path, "train/good/b", boxes((0, 0, 10, 10)))
    proposed = np.stack([boxes((0, 0, 10, 8), (0, 8, 10, 10)), boxes(), boxes((1, 1, 5, 5))])
    found = agreement(tmp_path, ["train/good/a", "train/good/b", "train/good/c"], proposed)
    assert found is not None
    assert found.images == 2  # c has no truth
    assert found.matched_iou == pytest.approx(0.8)  # of the two pieces only the better one counts
    assert found.found == pytest.approx(1 / 3)
    assert found.count_error == pytest.approx((0 + 1) / 2)


def test_without_truth_there_is_no_agreement(tmp_path: Path) -> None:
    assert agreement(tmp_path, ["a"], boxes()[None]) is None


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([boxes(), boxes((0, 0, 5, 5))], "no component in 1 of 2 images"),
        ([boxes((0, 0, 40, 39))] * 2, "one component covers more than 90% of 2 of 2 images"),
        (
            [boxes((0, 0, 5, 5)), boxes(*((0, 5 * n, 4, 5 * n + 4) for n in range(8)))],
            "the number of components varies wildly: 4.5 ± 3.5, from 1 to 8",
        ),
    ],
)
def test_what_cannot_be_right_is_said(maps: list[np.ndarray], message: str) -> None:
    assert message in warnings_of(np.stack(maps), {})


def test_good_labels_give_no_warning_and_the_clustering_s_reasons_are_kept() -> None:
    good = np.stack([boxes((0, 0, 5, 5), (10, 10, 20, 20))] * 3)
    assert warnings_of(good, {"reasons": []}) == []
    assert warnings_of(good, {"reasons": ["x"]}) == ["clustering: x"]


def case() -> tuple[np.ndarray, ComponentMaps, LabelMaps]:
    values = np.stack([boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes((5, 5, 15, 15))])
    images = np.full((2, SIZE, SIZE, 3), 200, dtype=np.uint8)
    classes = (values == 1).astype(np.uint8)
    ids = ("train/good/a", "train/good/b")
    kinds = np.zeros((2, 3), dtype=np.uint8)
    return images, ComponentMaps(ids, values, kinds), LabelMaps(ids, classes, 2, np.array([True, False]))


CHOICE = {"proposer": "foundation", "reason": "set in params.yaml", "human_input": "a person's"}


def test_numbers_of_a_review(tmp_path: Path) -> None:
    images, components, labels = case()
    write_truth(tmp_path, "train/good/a", components.values[0])
    bad = ComponentMaps(components.image_ids[1:], components.values[1:], components.kinds[1:])
    other = ComponentMaps(components.image_ids[:1], boxes((0, 0, 10, 5))[None], np.zeros((1, 2), dtype=np.uint8))
    trials = {"foundation": components, "elsewhere": bad, "other": other}
    found = review(components, labels, trials, CHOICE, {"reasons": []}, tmp_path)
    assert (found["proposer"], found["images"], found["labelled"], found["classes"]) == ("foundation", 2, 1, 1)
    assert (found["reason"], found["human_input"]) == ("set in params.yaml", "a person's")
    assert found["components_mean"] == 1.5
    assert found["truth"] == {"images": 1, "matched_iou": 1.0, "found": 1.0, "count_error": 0.0}
    assert found["trials"]["foundation"]["truth"] == found["truth"]
    assert found["trials"]["elsewhere"] | {"coverage": 0} == {
        "images": 1, "components_mean": 1.0, "components_std": 0.0, "coverage": 0, "truth": None,
    }  # fmt: skip
    assert found["trials"]["other"]["truth"] == {"images": 1, "matched_iou": 0.5, "found": 0.5, "count_error": 1.0}
    json.dumps(found)
    with pytest.raises(ValueError, match="not of the same images"):
        review(components, LabelMaps(("x", "y"), labels.values, 2, labels.labelled), {}, {}, {}, tmp_path)


def test_sheets_show_labelled_and_other_images_and_every_class(tmp_path: Path) -> None:
    images, components, labels = case()
    write_sheets(tmp_path / "out", images, components, labels)
    overlays, classes = (cv2.imread(str(tmp_path / "out" / f"{name}.jpg")) for name in ("overlays", "classes"))
    assert overlays.shape == (2 * (24 + 2 * SIZE), 5 * SIZE, 3)
    assert classes.shape == (2 * (24 + 64), 14 * 64, 3)  # one class, and those without


def test_components_are_painted_in_the_colours_of_their_classes() -> None:
    images, components, labels = case()
    assert classes_of_components(components.values, labels.values).tolist() == [[0, 1, 1], [0, 2, 0], [1, 1, 1]]
    painted = overlay(images[0], components.values[0], labels.values[0], 1)
    colours = class_colours(1)
    assert painted[0, 9].tolist() == colours[1].tolist()  # an outline
    assert painted[20, 20].tolist() == colours[0].tolist()
    assert painted[35, 35].tolist() == [200] * 3
    assert len({tuple(colour) for colour in class_colours(20).tolist()}) == 21


def make_labels(root: Path) -> None:
    """Of one of the two categories."""
    (root / "labels" / "tray").mkdir(parents=True)
    for name in ("overlays", "classes"):
        (root / "labels" / "tray" / f"{name}.jpg").write_bytes(name.encode())
    truth = {"images": 3, "matched_iou": 0.625, "found": 0.5, "count_error": 1.25}
    numbers = {
        "proposer": "dense_clusters", "reason": "few <parts>", "human_input": "a person's",
        "images": 3, "labelled": 2, "classes": 4, "components_mean": 6.0,
        "components_std": 0.5, "coverage": 0.2, "truth": truth, "warnings": ["no component in 1 of <3> images"],
        "trials": {
            "dense_clusters": {
                "images": 2, "components_mean": 7.0, "components_std": 0.25, "coverage": 0.3,
                "truth": {"images": 2, "matched_iou": 0.375, "found": 0.25, "count_error": 8.5},
            },
            "other": {"images": 2, "components_mean": 1.0, "components_std": 0.0, "coverage": 0.1, "truth": None},
        },
    }  # fmt: skip
    (root / "metrics" / "labels").mkdir()
    (root / "metrics" / "labels" / "tray.json").write_text(json.dumps(numbers))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(json.dumps(PARAMS))
    for category in ("tray", "<b>&cell"):
        make_evaluation(tmp_path, "ours", category)
    make_costs(tmp_path)
    make_labels(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_component_labels_are_shown_where_there_are_any(root: Path) -> None:
    text = run_report(root)
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
    row = "<td>dense_clusters (taken)</td><td>7.0 ± 0.2</td><td>30.0 %</td><td>37.5 %</td><td>25.0 %</td><td>8.5</td>"
    assert row in text
    assert "<td>other</td>" in text
