"""Kinds of parts on drawn features: found though the proposer misses some, given up where there are too few."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.part_kinds import CELLS, kind_areas
from stages.aecsad.segmentation.parts import Parts, components_of, describe_parts, fit_kinds, measure
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.io.components import ComponentMaps

IMAGES, CHANNELS = 20, (2, 4, 6)
SIDE = 20  # cells of a part
PLACES = ((8, 8), (8, 40), (40, 8), (40, 40))  # of two parts of kind 0 and two of kind 1 in every image


def scene(*, missed: float) -> tuple[Parts, np.ndarray]:
    """Parts of which the proposer misses a share, with noisy features, and the true kind of those it finds."""
    random = np.random.default_rng(0)
    features = random.normal(0, 0.3, (IMAGES, CELLS, CELLS, sum(CHANNELS))).astype(np.float32)
    image, cells, kinds = [], [], []
    for row in range(IMAGES):
        for number, (top, left) in enumerate(PLACES):
            own = np.zeros((CELLS, CELLS), dtype=bool)
            own[top : top + SIDE, left : left + SIDE] = True
            features[row][own] += np.eye(sum(CHANNELS))[[3, 7][number // 2]] * 2
            if random.random() >= missed:
                image.append(row)
                cells.append(own)
                kinds.append(number // 2)
    return Parts(features, CHANNELS, np.array(image), np.stack(cells)), np.array(kinds)


def test_missed_parts_are_not_taken_for_ground() -> None:
    """Four of five parts are missed: most of what looks like a part is marked as ground."""
    parts, truth = scene(missed=0.8)
    found = fit_kinds(parts, most=2, seed=0)
    assert found is not None
    classifier, of_part = found
    assert len({*zip(truth.tolist(), of_part.tolist(), strict=True)}) == 2  # the kinds, under some number
    strides = torch.from_numpy(parts.features).permute(0, 3, 1, 2).split(list(CHANNELS), dim=1)
    areas = np.stack([kind_areas(classifier, [level[row : row + 1] for level in strides]) for row in range(IMAGES)])
    np.testing.assert_allclose(areas * CELLS**2, 2 * SIDE**2, rtol=0.02)  # fitted once they are 714 and 730


def test_too_few_parts_make_no_kinds() -> None:
    parts, _ = scene(missed=0.0)
    few = Parts(parts.features, CHANNELS, parts.image[:9], parts.cells[:9])
    assert fit_kinds(few, most=20, seed=0) is None
    assert fit_kinds(parts, most=1, seed=0) is None
    found = fit_kinds(parts, most=20, seed=0)
    assert found is not None
    assert len(found[0].bias) - 1 <= 16  # five parts a kind


def test_a_part_is_described_by_strides_that_see_more_than_texture() -> None:
    parts, _ = scene(missed=0.0)
    before = describe_parts(parts)
    parts.features[..., :2] = 99 * np.random.default_rng(0).normal(size=(*parts.features.shape[:3], 2))
    np.testing.assert_array_equal(describe_parts(parts), before)


def test_a_kind_belongs_to_the_class_of_most_of_its_cells() -> None:
    parts, truth = scene(missed=0.0)
    labels = np.zeros((IMAGES, 128, 128), dtype=np.uint8)
    labels[:, :64] = 5  # of kind 0; kind 1 lies on the background
    assert components_of(parts, truth, labels, kinds=2).tolist() == [5, 0]


@pytest.fixture
def images(here: Path) -> pd.DataFrame:
    """Two red and two blue squares on noise, of 128 pixels."""
    random = np.random.default_rng(0)
    for number in range(12):
        picture = random.integers(100, 120, (128, 128, 3)).astype(np.uint8)
        for place, (top, left) in enumerate(PLACES):
            picture[2 * top : 2 * top + 24, 2 * left : 2 * left + 24] = ((200, 0, 0), (0, 0, 200))[place // 2]
        Image.fromarray(picture).save(here / f"{number}.png")
    names = [str(number) for number in range(12)]
    splits = ["train"] * 10 + ["validation"] + ["test"]
    return pd.DataFrame({"image_id": names, "file": [f"{name}.png" for name in names], "split": splits})


def test_areas_of_images_and_of_edited_pictures(here: Path, images: pd.DataFrame) -> None:
    values = np.zeros((10, 128, 128), dtype=np.uint16)
    for number, (top, left) in enumerate(PLACES, start=1):
        values[:, 2 * top : 2 * top + 24, 2 * left : 2 * left + 24] = number
    found = ComponentMaps(tuple(images["image_id"][:10]), values, np.zeros((10, 5), dtype=np.uint8))
    labels = LabelMaps(tuple(images["image_id"]), np.ones((12, 128, 128), np.uint8), 2, np.ones(12, dtype=bool))
    picture = np.array(Image.open(here / "10.png"))
    changed = picture.copy()
    changed[16:40, 16:40] = 110  # one red square less
    edited = EditedPictures(("10", "10"), ("cut", "cut"), np.stack([changed, picture]))
    encoder = FrozenEncoder("tf_efficientnet_lite0")
    arguments = (encoder, here, images, found, labels, edited)
    areas = measure(*arguments, image_size=128, kinds=20, seed=0)
    assert areas.image_ids == tuple(images["image_id"]) and areas.areas.shape == (12, 2)
    np.testing.assert_array_equal(areas.edited[1], areas.areas[10])
    red = int(areas.kinds[0])
    assert areas.edited[0, red] < 0.75 * areas.areas[10, red]
    assert areas.edited[0, 1 - red] == pytest.approx(areas.areas[10, 1 - red], rel=0.25)
    assert areas.shifts.shape == (40, 2) and areas.components.tolist() == [1, 1]
    none = EditedPictures((), (), edited.values[:0])
    assert measure(*arguments[:-1], none, image_size=128, kinds=20, seed=0).edited.shape == (0, 2)
    assert measure(*arguments, image_size=128, kinds=None, seed=0).areas.shape == (12, 0)
