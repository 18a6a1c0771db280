"""Agreement of proposed components with true ones, by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.core.io.components import ComponentMaps, write_component_maps
from stages.evaluation.components import agreement, component_agreement, pairwise_iou, true_instances

SIZE = 40
Corners = tuple[int, int, int, int]


def boxes(*corners: Corners) -> np.ndarray:
    """An instance map; later boxes over earlier ones."""
    found = np.zeros((SIZE, SIZE), dtype=np.uint16)
    for number, (top, left, bottom, right) in enumerate(corners, start=1):
        found[top:bottom, left:right] = number
    return found


def write_true(folder: Path, image_id: str, classes: np.ndarray) -> None:
    path = folder / f"{image_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(classes.astype(np.uint8)).save(path)


def write_proposed(path: Path, **images: np.ndarray) -> None:
    kinds = np.zeros((len(images), 9), dtype=np.uint8)
    write_component_maps(path, ComponentMaps(tuple(images), np.stack(list(images.values())), kinds))


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
    write_true(tmp_path, "train/good/a", boxes((0, 0, 10, 10), (20, 20, 30, 30)))
    write_true(tmp_path, "train/good/b", boxes((0, 0, 10, 10)))
    proposed = np.stack([boxes((0, 0, 10, 8), (0, 8, 10, 10)), boxes(), boxes((1, 1, 5, 5))])
    found = agreement(tmp_path, ["train/good/a", "train/good/b", "train/good/c"], proposed)
    assert found is not None
    assert found.images == 2  # c has no truth
    assert found.matched_iou == pytest.approx(0.8)  # of the two pieces only the better one counts
    assert found.found == pytest.approx(1 / 3)
    assert found.count_error == pytest.approx((0 + 1) / 2)


def test_every_proposer_that_was_tried_is_compared(tmp_path: Path) -> None:
    write_true(tmp_path / "truth", "a", boxes((0, 0, 10, 10), (20, 20, 30, 30)))
    write_proposed(tmp_path / "proposed/component_maps.npz", a=boxes((0, 0, 10, 10), (20, 20, 30, 30)))
    write_proposed(tmp_path / "proposed/trials/third.npz", a=boxes((0, 0, 10, 10), (20, 20, 30, 26)))
    write_proposed(tmp_path / "proposed/trials/elsewhere.npz", b=boxes((0, 0, 10, 10)))
    assert component_agreement(tmp_path / "proposed", tmp_path / "truth") == {
        "proposed": {"images": 1, "matched_iou": 1.0, "found": 1.0, "count_error": 0.0},
        "trials": {"elsewhere": None, "third": {"images": 1, "matched_iou": 0.8, "found": 1.0, "count_error": 0.0}},
    }
    assert component_agreement(tmp_path / "proposed", tmp_path / "none")["proposed"] is None
