"""Patches, their distances to a bank, and image scores, worked out by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from stages.core.neighbours.bank import (
    draw_cells,
    fill_bank,
    image_score,
    join_stages,
    patch_distances,
    squared_distances,
)


def test_distances_and_score_by_hand() -> None:
    bank = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [100.0, 0.0]])
    patches = torch.tensor([[[0.0, 0.0], [0.0, -3.0]]])
    distances = patch_distances(patches, bank)
    torch.testing.assert_close(distances, torch.tensor([[0.0, 3.0]]))
    assert image_score(patches, distances, bank, neighbours=0) == pytest.approx(3.0)
    # p* = (0, -3), m* = (0, 0) at 3; its two nearest in the bank: itself and (0, 1), which is 4 from p*
    expected = (1 - math.exp(3) / (math.exp(3) + math.exp(4))) * 3
    assert image_score(patches, distances, bank, neighbours=2) == pytest.approx(expected, rel=1e-6)


def test_reweighting_takes_all_of_a_small_bank_and_refuses_one_patch() -> None:
    bank, patches = torch.tensor([[0.0], [1.0]]), torch.tensor([[[3.0]]])
    distances = patch_distances(patches, bank)
    expected = (1 - math.exp(2) / (math.exp(2) + math.exp(3))) * 2
    assert image_score(patches, distances, bank, neighbours=9) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="9 neighbours in a bank of 1 patches"):
        image_score(patches, distances, bank[:1], neighbours=9)


def test_squared_distances_never_go_below_zero() -> None:
    rows = torch.randn(50, 30, generator=torch.Generator().manual_seed(0)) * 1000
    assert float(squared_distances(rows, rows).min()) >= 0


def test_stages_are_averaged_enlarged_and_joined() -> None:
    fine, coarse = torch.zeros(1, 2, 4, 4), torch.full((1, 3, 2, 2), 9.0)
    fine[0, 0, 1, 1] = 9.0
    joined = join_stages([fine, coarse])
    assert joined.shape == (1, 5, 4, 4)
    torch.testing.assert_close(joined[0, 0, :3, :3], torch.ones(3, 3))  # 9 spread over 3x3 cells
    assert float(joined[0, 0, 3].abs().max()) == 0
    assert float(joined[0, 2, 0, 0]) == pytest.approx(4.0)  # 4 of 9 cells at a corner, the rest zero padding


def test_on_the_coarsest_grid_finer_cells_are_averaged() -> None:
    fine, coarse = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 2, 2), 9.0)
    fine[0, 0, 0, 0] = 36.0  # 4 in each of four cells after the average over 3x3
    joined = join_stages([fine, coarse], grid="coarsest")
    assert joined.shape == (1, 2, 2, 2)
    torch.testing.assert_close(joined[0, 0], torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(joined[0, 1], torch.full((2, 2), 4.0))


@pytest.mark.parametrize(("count", "kept"), [(20, 9), (4, 4)])
def test_a_draw_of_patches_takes_each_once(count: int, kept: int) -> None:
    patches = torch.arange(9.0)[:, None]
    drawn = draw_cells(patches, count, torch.Generator().manual_seed(0))
    assert len(drawn) == len(set(drawn.flatten().tolist())) == kept


@pytest.mark.parametrize(
    ("most", "chosen", "ratio", "kept"),
    [(20, 0, 1.0, 20), (3, 0, 1.0, 10), (1000, 0, 1.0, 90), (20, 5, 0.1, 5), (20, 5, 0.5, 10)],
    ids=["two of each", "at least one", "all", "more where few are kept", "no fewer where many are"],
)
def test_a_bank_is_chosen_from_a_bounded_number_of_patches(
    monkeypatch: pytest.MonkeyPatch, most: int, chosen: int, ratio: float, kept: int
) -> None:
    """Of ten images with nine patches each."""
    monkeypatch.setattr("stages.core.neighbours.bank.MOST_PATCHES", most)
    monkeypatch.setattr("stages.core.neighbours.bank.MOST_CHOSEN", chosen)
    patches = torch.arange(90.0).view(10, 3, 3, 1)
    reader: Any = SimpleNamespace(read=lambda files, label: iter(patches))
    images = pd.DataFrame({"file": [f"{n}.png" for n in range(10)], "split": "train"})
    generator = torch.Generator().manual_seed(0)
    (view,) = fill_bank(reader, images, ratio=ratio, dimensions=128, neighbours=9, generator=generator).views
    bank = view.patches
    assert len(bank) == len(set(bank.flatten().tolist())) == kept
    assert ratio < 1.0 or len({int(value) // 9 for value in bank.flatten()}) == 10


def test_distances_in_blocks_are_those_to_the_nearest_of_all() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(23, 25, 6, generator=generator)  # more rows than two blocks, the last one not full
    bank = torch.cat([torch.rand(40, 6, generator=generator), patches[3, 4][None]])
    expected = torch.cdist(patches.flatten(0, 1).double(), bank.double()).amin(dim=1).view(23, 25)
    found = patch_distances(patches, bank)
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=1e-4)
    assert found[3, 4] < 1e-3
