"""What the decoder trains on: CSAD's augmentation in every iteration, or copies that are drawn once."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.segmentation.data import TrainingSet, build_training_set, change_slightly, warp_slightly
from stages.aecsad.segmentation.params import AugmentationParams, Epochs
from stages.aecsad.segmentation.training import train_segmentor
from stages.core.encoder.encoder import FrozenEncoder
from tests.unit.aecsad.scenes import PARAMS, PASTE, square_scene

ROWS = torch.tensor([0, 1])


def training_set(copies: int | str) -> TrainingSet:
    """Three labelled images with a red square."""
    scenes = [square_scene() for _ in range(3)]
    images = torch.from_numpy(np.stack([image for image, _ in scenes])).permute(0, 3, 1, 2).contiguous()
    labels = LabelMaps(("a", "b", "c"), np.stack([maps for _, maps in scenes]), 2, np.ones(3, dtype=bool))
    encoder = FrozenEncoder("tf_efficientnet_lite0")
    return build_training_set(
        encoder, images, labels, AugmentationParams(copies=copies, **PASTE), csad_exact=False, seed=0
    )


def test_fresh_images_depend_on_the_seed_and_the_iteration_alone() -> None:
    fresh = training_set("fresh").fresh
    assert fresh is not None
    (low, high), labels = fresh.batch(ROWS, step=1)
    (again, _), same = fresh.batch(ROWS, step=1)
    assert torch.equal(low, again)
    assert torch.equal(labels, same)
    assert low.shape == (2, 24, 16, 16)
    assert high.shape == (2, 112, 4, 4)
    assert not torch.equal(fresh.batch(ROWS, step=2)[1], labels)


def test_fresh_labels_hold_the_component_and_its_copy() -> None:
    fresh = training_set("fresh").fresh
    assert fresh is not None
    _, labels = fresh.batch(ROWS, step=1)
    assert labels.unique().tolist() == [0, 1]
    for label_map in labels:
        assert 170 <= int((label_map == 1).sum()) <= 230  # twice 10 x 10 pixels, a little scaled and turned


def test_without_fresh_images_copies_are_drawn_once() -> None:
    data = training_set(2)
    assert data.fresh is None
    assert len(data.labelled) == len(data.labels) == 9
    assert len(training_set("fresh").labelled) == 3


def test_small_changes_are_small_and_leave_half_of_the_images_their_place() -> None:
    image, labels = square_scene()
    random = np.random.default_rng(0)
    found = [change_slightly(image, labels, random=random) for _ in range(200)]
    unmoved = np.mean([np.array_equal(maps, labels) for _, maps in found])
    untouched = np.mean([np.array_equal(picture, image) for picture, _ in found])
    assert 0.5 <= unmoved < 0.8  # the other half, and warps too small for this square
    assert 0.17 < untouched < 0.33  # neither of the two
    for picture, maps in found:
        assert set(np.unique(maps)) == {0, 1}
        y, x = np.nonzero(maps)
        assert abs(y.mean() - 14.5) < 1.6  # 1 % of 64 pixels, and 2 degrees at 17 pixels from the centre
        assert abs(x.mean() - 14.5) < 1.6
        assert abs(int(picture[40, 40, 0]) - 128) <= 128 * 0.05 + 255 * 0.05 + 1


def test_what_comes_in_from_outside_is_black_background() -> None:
    image, labels = np.full((64, 64, 3), 255, dtype=np.uint8), np.ones((64, 64), dtype=np.uint8)
    random = np.random.default_rng(1)
    moved = [warp_slightly(image, labels, random=random) for _ in range(20)]
    outside = [picture[maps == 0] for picture, maps in moved if (maps == 0).any()]
    assert len(outside) > 10
    assert max(pixels.mean() for pixels in outside) < 200  # up to half of a rim pixel is interpolated


def test_training_on_fresh_images_learns_the_component(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    data = training_set("fresh")
    segmentor = Segmentor((24, 112), num_classes=2, width=8, momentum=0.1)
    changes = {"iterations": Epochs(epochs=25), "augmentation": AugmentationParams(copies="fresh", **PASTE)}
    with caplog.at_level(logging.WARNING):
        train_segmentor(
            segmentor, data, PARAMS.model_copy(update=changes), device=torch.device("cpu"),
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    assert "no semi-supervised phase" in caplog.text  # every image is labelled: no unlabelled batch is ever drawn
    with torch.no_grad():
        predicted = segmentor(*data.labelled.batch(ROWS[:1], torch.device("cpu")), size=64).argmax(dim=1)[0]
    truth = data.labels[0] > 0
    assert predicted[truth].float().mean() > 0.8
    assert predicted[~truth].float().mean() < 0.1
