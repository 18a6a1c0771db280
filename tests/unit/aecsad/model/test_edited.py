"""What is seen of edited pictures, worked out by hand; and their file."""

from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.model.edited import EditedPictures, read_edited, rows_of_sources, see_edits, write_edited
from stages.core.run.errors import UserError


def test_auroc_is_the_mean_over_kinds() -> None:
    normal = np.array([1.0, 2.0, 3.0, 4.0])
    edited = np.array([5.0, 2.5, 2.0, 0.0])  # above 4, above 2, above 1 and equal to 1, above none
    seen = see_edits(normal, edited, rows=np.arange(4), kinds=["cut", "cut", "pasted", "cut"])
    assert seen.kinds == {"cut": pytest.approx((1 + 0.5 + 0) / 3), "pasted": pytest.approx(1.5 / 4)}
    assert seen.auroc == pytest.approx((0.5 + 0.375) / 2)
    assert seen.influences.sum() == pytest.approx(0)


def test_the_error_is_that_of_repeated_samples_of_images() -> None:
    """An image's edits lie near its own distance, so they are no independent ones: bootstrap of whole images."""
    random = np.random.default_rng(0)
    normal = random.normal(size=60)
    edited = np.concatenate([normal + 0.8 + random.normal(0, 0.3, 60) for _ in range(3)])
    rows, kinds = np.tile(np.arange(60), 3), np.repeat(["cut", "pasted", "exchanged"], 60).tolist()
    seen = see_edits(normal, edited, rows=rows, kinds=kinds)
    aurocs = []
    for _ in range(400):
        drawn = random.integers(60, size=60)
        both = np.concatenate([drawn + 60 * number for number in range(3)])
        resampled = see_edits(normal[drawn], edited[both], rows=rows, kinds=kinds)
        aurocs.append(resampled.auroc)
    assert seen.error == pytest.approx(np.std(aurocs), rel=0.2)
    assert seen.above_chance


@pytest.mark.parametrize(("count", "certain"), [(1, False), (3, True)])
def test_perfect_separation_of_very_few_images_may_be_chance(count: int, certain: bool) -> None:
    seen = see_edits(np.zeros(count), np.ones(count), rows=np.arange(count), kinds=["cut"] * count)
    assert seen.auroc == 1.0
    assert seen.above_chance is certain


def test_a_blind_branch_is_not_above_chance_and_worse_by_more_than_chance() -> None:
    random = np.random.default_rng(1)
    normal, rows = random.normal(size=40), np.arange(40)
    blind = see_edits(normal, normal + random.normal(0, 0.01, 40), rows=rows, kinds=["cut"] * 40)
    sighted = see_edits(normal, normal + 3, rows=rows, kinds=["cut"] * 40)
    assert not blind.above_chance
    assert not sighted.better_by_chance(blind)
    assert sighted.better_by_chance(sighted)


def test_without_edits_or_normal_images_nothing_is_claimed() -> None:
    for normal in (np.zeros(0), np.ones(5)):
        nothing = see_edits(normal, np.zeros(0), rows=np.zeros(0, dtype=np.int64), kinds=[])
        assert (nothing.auroc, nothing.kinds, nothing.above_chance) == (0.5, {}, False)


def test_files_hold_what_was_written_and_sources_are_checked(tmp_path: Path) -> None:
    edited = EditedPictures(("b", "a"), ("cut", "pasted"), np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    write_edited(tmp_path / "edited.npz", edited)
    again = read_edited(tmp_path / "edited.npz")
    assert (again.sources, again.kinds) == (edited.sources, edited.kinds)
    np.testing.assert_array_equal(again.values, edited.values)
    assert rows_of_sources(again, ["a", "b"]).tolist() == [1, 0]
    with pytest.raises(UserError, match="b was edited and is no normal validation image"):
        rows_of_sources(again, ["a"])
