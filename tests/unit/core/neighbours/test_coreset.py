"""The choice of a coreset: by hand, and as the plain algorithm makes it."""

import pytest
import torch

from stages.core.neighbours.coreset import choose_coreset, greedy_k_centre
from tests.table import violations


def test_k_centre_on_a_line() -> None:
    """From 0: the farthest is 10; then 4 (4 from 0, 6 from 10: nearest 4) beats 6 (4 too, later) and 1."""
    points = torch.tensor([[0.0], [1.0], [4.0], [10.0], [0.5]])
    assert greedy_k_centre(points, count=4, first=0).tolist() == [0, 3, 2, 1]


def test_k_centre_equals_the_plain_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(part: int) -> None:
        monkeypatch.setattr("stages.core.neighbours.coreset.ACTIVE_PART", part)
        points = torch.randn(600, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        chosen = [17]
        while len(chosen) < 80:
            chosen.append(int(torch.cdist(points, points[chosen]).amin(dim=1).argmax()))
        assert greedy_k_centre(points, count=80, first=17).tolist() == chosen

    assert violations(check, zip([1, 7, 64, 10_000])) == []


def test_every_row_can_be_chosen_once_even_among_duplicates() -> None:
    points = torch.ones(9, 3)
    assert sorted(greedy_k_centre(points, count=9, first=4).tolist()) == list(range(9))
    with pytest.raises(ValueError, match="10 of 9 points cannot be chosen"):
        greedy_k_centre(points, count=10, first=0)


def test_coreset_size_seed_and_empty_input() -> None:
    patches = torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
    draws = [
        choose_coreset(patches, ratio=0.05, dimensions=4, generator=torch.Generator().manual_seed(seed)).tolist()
        for seed in (3, 3, 4)
    ]
    assert len(set(draws[0])) == 25
    assert draws[0] == draws[1] != draws[2]
    assert len(choose_coreset(patches, ratio=1e-6, dimensions=99, generator=torch.Generator())) == 1
    with pytest.raises(ValueError, match="no patches"):
        choose_coreset(patches[:0], ratio=0.1, dimensions=4, generator=torch.Generator())
