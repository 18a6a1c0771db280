"""Explanations: synthetic changes in label maps and anomaly maps are named, placed and measured."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stages.aecsad.score_fusion.explanation.__main__ import main

from stages.aecsad.model.hot_spots import NormalSpots, explain_map, fit_spots, usual_classes, where
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps
from stages.aecsad.score_fusion.components import (
    NormalComponents,
    explain_components,
    find_instances,
    fit_components,
    times,
)
from stages.core.io.explanations import Explanation, read_explanations
from stages.core.io.maps import write_anomaly_maps
from stages.core.io.tables import write_images
from stages.core.run.errors import UserError
from tests.params_files import write_params

SIZE = 64
PLACES = [(12, 12), (12, 48), (48, 12), (48, 48)]  # of class 1; class 2 is a bar of varying height in the middle
FITTING = {"num_classes": 3, "grid": 4, "min_area": 0.002, "stable_share": 0.95, "area_floor": 0.01, "seed": 0}


def draw(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for y, x in PLACES:
        top, left = y - 4 + generator.integers(-2, 3), x - 4 + generator.integers(-2, 3)
        labels[top : top + 8, left : left + 8] = 1
    labels[24 : 36 + generator.integers(0, 3), 28:36] = 2
    return labels


@pytest.fixture(scope="module")
def normal() -> NormalComponents:
    return fit_components(np.stack([draw(seed) for seed in range(40)]), **FITTING)  # type: ignore[arg-type]


def top(normal: NormalComponents, labels: np.ndarray) -> Explanation:
    return explain_components(normal, labels)[0]


def inside(finding: Explanation, y: int, x: int) -> bool:
    up, left, down, right = (side * SIZE for side in finding.box)
    return up <= y < down and left <= x < right


def test_a_missing_component(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[40:56, 4:20] = 0
    found = top(normal, labels)
    assert (found.component, found.measure, found.observed, found.normal) == (1, "missing", 3, 4)
    assert found.text == "component 1: 3, normal 4; missing at the lower left"
    assert inside(found, 48, 12)


def test_a_component_too_many(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[2:7, 28:36] = 1
    found = top(normal, labels)
    assert (found.component, found.measure, found.observed, found.normal) == (1, "extra", 5, 4)
    assert inside(found, 4, 30)


def test_a_component_of_half_the_size(normal: NormalComponents) -> None:
    labels = draw(100)
    rows, columns = np.nonzero(labels[:32, 32:] == 1)
    labels[:32, 32:][rows[: len(rows) // 2], columns[: len(rows) // 2]] = 0
    found = top(normal, labels)
    assert (found.component, found.measure) == (1, "area")
    assert found.text == "component 1: area 0.5 x normal at the upper right"
    assert found.observed / found.normal == pytest.approx(0.5, abs=0.05)


def test_a_displaced_component(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[:24, :24] = 0
    labels[4:12, 22:30] = 1
    found = next(one for one in explain_components(normal, labels) if one.measure != "cell_area")
    assert (found.component, found.measure, found.text) == (1, "place", "component 1: displaced at the top")
    assert found.observed == pytest.approx(14 / SIZE, abs=3 / SIZE)  # image sides from its place
    assert inside(found, 8, 26)


def test_an_area_of_a_class_that_varies() -> None:
    """Class 2 comes in one to three pieces, so it is not counted, but its area in a cell still speaks."""
    maps = []
    for seed in range(40):
        labels = draw(seed)
        for piece in range(seed % 3):
            labels[60:62, 4 + 20 * piece : 12 + 20 * piece] = 2
        maps.append(labels)
    normal = fit_components(np.stack(maps), **FITTING)  # type: ignore[arg-type]
    assert set(normal.places) == {1}
    labels = draw(100)
    labels[2:14, 33:40] = 2
    found = top(normal, labels)
    assert (found.component, found.measure) == (2, "cell_area")
    assert found.text == "component 2: area where normal images have next to none, in row 1, column 3 of 4 x 4 cells"


def test_normal_images_deviate_less_than_changed_ones(normal: NormalComponents) -> None:
    worst = max(finding.deviation for seed in range(200, 220) for finding in explain_components(normal, draw(seed)))
    assert worst < 10


def test_the_findings_are_in_order_and_repeat(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[40:56, 4:20] = 0
    found = explain_components(normal, labels)
    deviations = [finding.deviation for finding in found]
    assert deviations == sorted(deviations, reverse=True)
    again = fit_components(np.stack([draw(seed) for seed in range(40)]), **FITTING)  # type: ignore[arg-type]
    assert explain_components(again, labels) == found


def test_an_empty_label_map_misses_everything(normal: NormalComponents) -> None:
    found = explain_components(normal, np.zeros((SIZE, SIZE), dtype=np.uint8))
    assert [finding.measure for finding in found[:5]] == ["missing"] * 5
    assert {finding.observed for finding in found[:5]} == {0}


def test_instances_by_hand() -> None:
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[2:4, 4:8] = 1
    labels[9, 19] = 1
    (found,) = find_instances(labels, 1, min_area=0.01)
    assert (found.area, found.box) == (8 / 200, (0.2, 0.2, 0.4, 0.4))
    assert found.centre == pytest.approx((0.3, 0.3))
    assert len(find_instances(labels, 1, min_area=0.001)) == 2


def test_a_hot_spot_names_the_component_that_belongs_there() -> None:
    maps = np.stack([draw(seed) for seed in range(9)])
    usual = usual_classes(maps, num_classes=3)
    heat = np.full((16, 16), 0.1)
    heat[12, 12], heat[12, 13], heat[0, 0] = 2.0, 1.5, 1.9  # the last is hot, but not connected
    empty = np.zeros((SIZE, SIZE), dtype=np.uint8)
    found = explain_map(NormalSpots("a", 0.5, 0.25, usual), heat, empty)
    assert (found.branch, found.measure) == ("a", "hot_spot")
    assert (found.component, found.box) == (1, (0.75, 0.75, 0.8125, 0.875))
    assert found.deviation == pytest.approx(6.0)
    assert (
        found.text == "unusual look at the lower right, where normal images show component 1 and this one no component"
    )
    nowhere = explain_map(NormalSpots("a", 0.5, 0.25, empty), heat, empty)
    assert nowhere.component is None
    assert nowhere.text == "unusual look at the lower right, on no component"


def test_normal_spots_by_hand() -> None:
    usual = np.zeros((4, 4), dtype=np.uint8)
    validation = np.array([[[1.0, 3.0]], [[5.0, 2.0]]])
    fitted = fit_spots("a", validation, usual)
    assert (fitted.mean, fitted.spread) == (4.0, 1.0)
    assert fit_spots("a", validation[:1], usual).spread > 0


@pytest.mark.parametrize(
    ("box", "expected"),
    [((0, 0, 0.2, 0.2), "upper left"), ((0.4, 0.4, 0.6, 0.6), "centre"), ((0.9, 0.4, 1, 0.6), "bottom"),
     ((0.4, 0.8, 0.6, 1.0), "right side"), ((0, 0.4, 0.1, 0.5), "top")],
)  # fmt: skip
def test_places_in_words(box: tuple[float, float, float, float], expected: str) -> None:
    assert where(box) == expected


def test_sizes_in_words() -> None:
    assert [times(*pair) for pair in ((0.01, 0.02), (0.5, 0.01), (0.01, 0.0))] == [
        "0.5 x normal", "more than 10 x normal", "where normal images have next to none"
    ]  # fmt: skip


def write_inputs(root: Path, *, num_classes: int = 3, lost: int = 0) -> list[str]:
    """30 training, 4 validation and 3 test images; the last one lacks its component at the lower left."""
    splits = ["train"] * 30 + ["validation"] * 4 + ["test"] * 3
    labels = np.stack([draw(seed) for seed in range(len(splits))])
    labels[-1, 40:56, 4:20] = 0
    ids = [f"{split}/{number:02d}" for number, split in enumerate(splits)]
    (root / "images").mkdir()
    for number, one in enumerate(labels):
        Image.fromarray(np.repeat(one[:, :, None] * 100, 3, axis=2)).save(root / "images" / f"{number}.png")
    table = pd.DataFrame({"image_id": ids, "file": [f"{n}.png" for n in range(len(ids))], "split": splits})
    write_images(root / "images.parquet", table)
    values = labels if num_classes > 1 else np.zeros_like(labels)
    write_label_maps(root / "maps.npz", LabelMaps(tuple(ids), values, num_classes, np.ones(len(ids), dtype=bool)))
    heat = np.random.default_rng(0).random((len(ids) - 30, 8, 8)).astype(np.float16)
    write_anomaly_maps(root / "heat", ids[30 + lost :], heat[lost:])
    section = {"min_area": 0.002, "stable_share": 0.95, "area_floor": 0.01, "grid": 4, "kept": 3, "examples": 5}
    write_params(root, {"profile": "p", "seed": 0, "profiles": {"p": {"aecsad": {"explanation": section}}}})
    return ["--images", "images.parquet", "--image-files", "images", "--label-maps", "maps.npz", "--maps", "heat",
            "--explanations", "out"]  # fmt: skip


def test_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(write_inputs(tmp_path))
    found = read_explanations(tmp_path / "out")
    assert len(found.images) == 7  # validation and test, no training image
    assert [finding.branch for finding in found.images["test/36"]] == ["histogram"] * 3 + ["student_teacher"]
    assert found.images["test/36"][0].text == "component 1: 3, normal 4; missing at the lower left"
    assert set(found.pictures) == {1, 2}
    with Image.open(io.BytesIO(found.pictures[1].read_bytes())) as picture:
        assert picture.size == (384, 80)  # five of them, in one row


def test_without_components_there_are_hot_spots_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(write_inputs(tmp_path, num_classes=1))
    found = read_explanations(tmp_path / "out")
    assert {tuple(finding.measure for finding in findings) for findings in found.images.values()} == {("hot_spot",)}
    assert found.pictures == {}


def test_a_missing_map_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(write_inputs(tmp_path, lost=1))
    assert "1 images have no label map or no anomaly map, validation/30 first" in caplog.text
    (tmp_path / "broken").mkdir()
    with pytest.raises(UserError, match="no readable explanations"):
        read_explanations(tmp_path / "broken")
