"""Areas of kinds of parts: the same wherever the parts lie, however they are turned, and whether they touch or not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.aecsad.model.part_kinds import CELLS, kind_areas, kind_probabilities
from stages.aecsad.model.part_numbers import KindClassifier

SURE = 30.0
CLASSIFIER = KindClassifier(
    np.array([[SURE, 0, 0], [0, SURE, 0]], dtype=np.float32), np.array([0, 0, SURE / 2], dtype=np.float32)
)  # of two kinds, one a channel, and the ground


def draw(*parts: tuple[int, float, float], turns: int = 0) -> list[torch.Tensor]:
    """Features of one stride: (kind, x, y) of a disc of kind 0, or of a bar of kind 1, in cells."""
    y, x = np.mgrid[:CELLS, :CELLS]
    features = np.zeros((1, 2, CELLS, CELLS), dtype=np.float32)
    for kind, across, down in parts:
        disc = np.hypot(x - across, y - down) <= 4
        bar = (abs(x - across) <= 8) & (abs(y - down) <= 2)
        features[0, kind][bar if kind else disc] = 1
    return [torch.from_numpy(np.rot90(features, turns, axes=(2, 3)).copy())]


def test_the_areas_of_a_disc_and_a_bar_are_their_numbers_of_cells() -> None:
    areas = kind_areas(CLASSIFIER, draw((0, 20, 20), (1, 40, 40)))
    assert areas * CELLS**2 == pytest.approx([49, 17 * 5], abs=0.01)


def test_touching_discs_count_as_two() -> None:
    apart, touching = draw((0, 20, 20), (0, 50, 50)), draw((0, 20, 20), (0, 29, 20))
    assert kind_areas(CLASSIFIER, touching) == pytest.approx(kind_areas(CLASSIFIER, apart))
    assert kind_areas(CLASSIFIER, apart)[0] == pytest.approx(2 * kind_areas(CLASSIFIER, draw((0, 9, 9)))[0], abs=1e-5)


@given(
    st.tuples(st.integers(4, 20), st.integers(4, 59)), st.tuples(st.integers(40, 55), st.integers(2, 61)),
    st.integers(0, 3),
)  # fmt: skip
def test_areas_depend_neither_on_place_nor_on_turn(disc: tuple[int, int], bar: tuple[int, int], turns: int) -> None:
    still = kind_areas(CLASSIFIER, draw((0, 10, 10), (1, 45, 45)))
    assert kind_areas(CLASSIFIER, draw((0, *disc), (1, *bar), turns=turns)) == pytest.approx(still, abs=1e-6)


def test_strides_of_any_size_are_resized_and_probabilities_sum_to_one() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(1, 1, size, size, generator=generator) for size in (64, 16)]
    found = kind_probabilities(CLASSIFIER, levels)
    assert found.shape == (3, CELLS, CELLS)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(CELLS, CELLS))
    by_hand = torch.cat(
        [torch.nn.functional.interpolate(level, size=(CELLS, CELLS), mode="bilinear") for level in levels], dim=1
    )
    logits = torch.einsum("chw,ck->khw", by_hand[0], torch.from_numpy(CLASSIFIER.matrix))
    expected = (logits + torch.from_numpy(CLASSIFIER.bias)[:, None, None]).softmax(dim=0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
