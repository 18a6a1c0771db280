"""Edited pictures: what each kind changes and leaves, whose parts are drawn, and images without a part to edit."""

import cv2
import numpy as np
import pytest

from stages.aecsad.model.edited import KINDS, EditedPictures
from stages.aecsad.pseudo_label.edits import cut_out, edit_pictures, widened
from tests.unit.aecsad.drawings import DISC, SIZE, draw

IMAGES = np.stack([draw(seed, discs=4, squares=0) for seed in range(4)])
IDS = tuple("abcd")


def discs(images: np.ndarray) -> np.ndarray:
    """Instance maps of the orange discs."""
    masks = np.abs(images.astype(int) - DISC).max(axis=-1) < 60
    return np.stack([cv2.connectedComponents(mask.astype(np.uint8))[1].astype(np.uint16) for mask in masks])


def edits_of(found: dict[str, np.ndarray], images: np.ndarray = IMAGES, seed: int = 0) -> EditedPictures:
    return edit_pictures(images, found, IDS[: len(images)], random=np.random.default_rng(seed))


def test_as_many_of_each_kind_and_one_part_fewer_more_or_of_another_size() -> None:
    edited = edits_of({"discs": discs(IMAGES)})
    assert {kind: edited.kinds.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 20)  # 5 of each image
    for source, kind, picture in zip(edited.sources, edited.kinds, edited.values, strict=True):
        original = IMAGES[IDS.index(source)]
        before, after = discs(original[None])[0], discs(picture[None])[0]
        area, count = (after > 0).sum() / (before > 0).sum(), int(after.max()) - int(before.max())
        if kind == "cut":
            assert (count, round(area * 4)) == (-1, 3)
        elif kind == "pasted":
            assert 1.05 < area < 1.4  # it may touch another, and cover a tenth of it
        else:
            assert abs(area - 1) > 0.05  # all discs are of one size, so one is resized


@pytest.mark.parametrize("kind", KINDS)
def test_the_rest_of_the_picture_stays_bit_by_bit(kind: str) -> None:
    edited = edits_of({"discs": discs(IMAGES)})
    for source, picture in zip(edited.sources, edited.values, strict=True):
        changed = (picture != IMAGES[IDS.index(source)]).any(axis=-1)
        rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) < 24  # a disc of 11 pixels, 1.4 times as large, and its rim
    assert kind in edited.kinds


def test_a_cut_fills_the_part_and_its_rim_with_the_ground_and_nothing_else() -> None:
    mask = discs(IMAGES)[0] == 1
    filled = cut_out(IMAGES[0], mask)
    hole = widened(mask, 0.012)
    np.testing.assert_array_equal(filled[~hole], IMAGES[0][~hole])
    assert np.abs(filled[mask].astype(int) - 150).max() < 25


def test_the_same_seed_makes_the_same_pictures_and_another_seed_others() -> None:
    first, again, other = (edits_of({"discs": discs(IMAGES)}, seed=seed).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or (first != other).any()


def test_parts_are_drawn_evenly_from_all_proposers_however_many_each_finds() -> None:
    single = np.zeros((4, SIZE, SIZE), dtype=np.uint16)
    single[:, 84:94, 84:94] = 1
    edited = edits_of({"discs": discs(IMAGES), "one corner": single, "nothing": np.zeros_like(single)})
    corner = [
        (picture != IMAGES[IDS.index(source)])[80:, 80:].any()
        for source, kind, picture in zip(edited.sources, edited.kinds, edited.values, strict=True)
        if kind == "cut"
    ]
    assert 0.2 < np.mean(corner) < 0.8


@pytest.mark.parametrize("covered", [None, slice(None), slice(0, 2)], ids=["no part", "the whole picture", "a speck"])
def test_without_a_part_of_plausible_size_there_is_no_edit(covered: slice | None) -> None:
    values = np.zeros((4, SIZE, SIZE), dtype=np.uint16)
    if covered is not None:
        values[:, covered, covered] = 1
    edited = edits_of({"only": values})
    assert (edited.sources, edited.values.shape) == ((), (0, SIZE, SIZE, 3))
    assert edit_pictures(IMAGES[:0], {"only": values[:0]}, (), random=np.random.default_rng(0)).kinds == ()


def test_few_images_are_edited_several_times_but_not_without_end() -> None:
    edited = edits_of({"discs": discs(IMAGES[:1])}, IMAGES[:1])
    assert edited.kinds.count("cut") == 6
