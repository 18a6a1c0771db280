"""The component labels as a person sees them: warnings, numbers and pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.aecsad.cluster.review import review, warnings_of, write_review
from stages.aecsad.cluster.sheets import class_colours, classes_of_components, overlay
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.io.components import ComponentMaps, write_component_maps

SIZE = 40


def boxes(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """An instance map; later boxes over earlier ones."""
    found = np.zeros((SIZE, SIZE), dtype=np.uint16)
    for number, (top, left, bottom, right) in enumerate(corners, start=1):
        found[top:bottom, left:right] = number
    return found


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
def test_implausible_components_are_warned_of(maps: list[np.ndarray], message: str) -> None:
    assert message in warnings_of(np.stack(maps), [])


def test_good_labels_have_no_warning_but_the_clustering_s() -> None:
    good = np.stack([boxes((0, 0, 5, 5), (10, 10, 20, 20))] * 3)
    assert warnings_of(good, []) == []
    assert warnings_of(good, ["x"]) == ["clustering: x"]


@pytest.fixture
def components() -> ComponentMaps:
    """Two instances, then one."""
    values = np.stack([boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes((5, 5, 15, 15))])
    return ComponentMaps(("train/good/a", "train/good/b"), values, np.zeros((2, 3), dtype=np.uint8))


@pytest.fixture
def labels(components: ComponentMaps) -> LabelMaps:
    """The first instance of each image has a class, and the first image is labelled."""
    classes = (components.values == 1).astype(np.uint8)
    return LabelMaps(components.image_ids, classes, 2, np.array([True, False]))


@pytest.fixture
def images() -> np.ndarray:
    return np.full((2, SIZE, SIZE, 3), 200, dtype=np.uint8)


def test_numbers_of_a_review(components: ComponentMaps, labels: LabelMaps) -> None:
    tried = ComponentMaps(components.image_ids[1:], components.values[1:], components.kinds[1:])
    found = review(components, labels, {"foundation": components, "elsewhere": tried}, ["x"])
    assert found == {
        "images": 2, "labelled": 1, "classes": 1,
        "components_mean": 1.5, "components_std": 0.5, "coverage": 0.0938,  # of 1600 pixels, 200 and 100
        "trials": {
            "foundation": {"images": 2, "components_mean": 1.5, "components_std": 0.5, "coverage": 0.0938},
            "elsewhere": {"images": 1, "components_mean": 1.0, "components_std": 0.0, "coverage": 0.0625},
        },
        "warnings": ["clustering: x"],
    }  # fmt: skip
    json.dumps(found)
    with pytest.raises(ValueError, match="not of the same images"):
        review(components, LabelMaps(("x", "y"), labels.values, 2, labels.labelled), {}, [])


def test_a_review_shows_labelled_and_other_images_and_every_class(
    components: ComponentMaps, labels: LabelMaps, images: np.ndarray, tmp_path: Path
) -> None:
    write_component_maps(tmp_path / "proposed/component_maps.npz", components)
    write_component_maps(tmp_path / "proposed/trials/a.npz", components)
    write_review(tmp_path / "out", tmp_path / "proposed", images, labels, {"images": 2})
    assert json.loads((tmp_path / "out/review.json").read_text()) == {"images": 2}
    for name in ("component_maps.npz", "trials/a.npz"):  # what it is a review of comes with it
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "proposed" / name).read_bytes()
    overlays, classes = (cv2.imread(str(tmp_path / "out" / f"{name}.jpg")) for name in ("overlays", "classes"))
    assert overlays.shape == (2 * (24 + 2 * SIZE), 5 * SIZE, 3)
    assert classes.shape == (2 * (24 + 64), 14 * 64, 3)  # one class, and those without


def test_components_are_painted_in_the_colours_of_their_classes(
    components: ComponentMaps, labels: LabelMaps, images: np.ndarray
) -> None:
    assert classes_of_components(components.values, labels.values).tolist() == [[0, 1, 1], [0, 2, 0], [1, 1, 1]]
    painted = overlay(images[0], components.values[0], labels.values[0], 1)
    colours = class_colours(1)
    assert painted[0, 9].tolist() == colours[1].tolist()  # an outline
    assert painted[20, 20].tolist() == colours[0].tolist()
    assert painted[35, 35].tolist() == [200] * 3
    assert len({tuple(colour) for colour in class_colours(20).tolist()}) == 21
