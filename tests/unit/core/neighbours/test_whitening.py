"""Whitening and usual distances, worked out by hand, and a bank that has both."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.core.neighbours.bank import distances_to_others, fill_whitened_bank, judge_patches, patch_distances
from stages.core.neighbours.memory import MemoryBank, read_bank, write_bank
from stages.core.neighbours.whitening import RIDGE, Whitening, fit_whitening, usual_distances
from stages.core.run.errors import UserError

SAME = Whitening(torch.zeros(1), torch.eye(1))


def test_every_direction_has_unit_variance_but_for_the_ridge() -> None:
    patches = torch.tensor([[7.0, 1.0], [3.0, 1.0], [5.0, 2.0], [5.0, 0.0]])  # mean (5, 1), variances 2 and 0.5
    found = fit_whitening(patches)
    torch.testing.assert_close(found.mean, torch.tensor([5.0, 1.0]))
    ridge = RIDGE * 1.25
    torch.testing.assert_close(found.matrix, torch.diag(torch.tensor([(2 + ridge) ** -0.5, (0.5 + ridge) ** -0.5])))
    torch.testing.assert_close(found(patches)[0], torch.tensor([2.0, 0.0]) * (2 + ridge) ** -0.5)


def test_whitened_distances_do_not_depend_on_how_channels_are_mixed() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(200, 6, generator=generator) * torch.tensor([9.0, 1.0, 0.1, 3.0, 1.0, 0.5])
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    first, second = (
        torch.cdist(rows[:20], rows[20:]) for rows in (fit_whitening(one)(one) for one in (patches, patches @ turn))
    )
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("patches", [torch.ones(3, 2), torch.tensor([[4.0, -1.0]])])
def test_patches_that_never_vary_are_only_centred(patches: torch.Tensor) -> None:
    found = fit_whitening(patches)
    torch.testing.assert_close(found(patches[0] + torch.tensor([0.0, 2.0])), torch.tensor([0.0, 2.0]))
    with pytest.raises(ValueError, match="no patches"):
        fit_whitening(patches[:0])


def test_what_is_usual_is_shrunk_by_what_may_be_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.core.neighbours.whitening.SMOOTHING", 0.0)
    maps = [torch.tensor([[10.0, 12.0]]), torch.tensor([[0.0, 4.0]])]
    # less their means: (-1, 1) and (-2, 2), together (-1.5, 1.5); e = 0.5 / 2, v = 2.25, f = 8 / 9
    found = usual_distances(maps)
    assert found is not None
    torch.testing.assert_close(found, torch.tensor([[-4 / 3, 4 / 3]]))
    opposite = usual_distances([torch.tensor([[0.0, 3.0]]), torch.tensor([[3.0, 1.0]])])
    assert opposite is not None
    assert float(opposite.abs().max()) == 0  # e = 6.25 / 2 above v = 0.0625
    assert usual_distances(maps[:1]) is None


def test_a_place_that_varies_by_nature_is_usual_and_a_constant_map_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [1 + 0.1 * torch.rand(12, 12, generator=generator) for _ in range(10)]
    for one in maps:
        one[3:6, 8:11] += 2
    found = usual_distances(maps)
    assert found is not None
    assert divmod(int(found.argmax()), 12) == (4, 9)
    assert float(found.mean()) == pytest.approx(0.0, abs=1e-6)
    flat = usual_distances([torch.full((4, 4), 2.0)] * 3)
    assert flat is not None
    assert float(flat.abs().max()) == 0


def test_a_training_image_is_compared_with_patches_of_other_images() -> None:
    bank, sources = torch.tensor([[0.0], [5.0]]), torch.tensor([0, 1])
    images = [(number, torch.tensor([[[value]]])) for number, value in enumerate([0.0, 5.0, 1.0])]
    found = distances_to_others(images, bank, sources, SAME)
    assert [float(one) for one in found] == [5.0, 5.0, 1.0]
    assert distances_to_others(images[:1], bank[:1], sources[:1], SAME) == []  # no other image gave a patch


@pytest.mark.parametrize(("count", "kept"), [(7, 7), (1000, 12)])
def test_a_whitened_bank_keeps_a_number_of_the_drawn_patches(count: int, kept: int) -> None:
    patches = torch.randn(4, 3, 3, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([10.0, 1.0])
    reader: Any = SimpleNamespace(read=lambda files, label: iter(patches))
    images = pd.DataFrame({"file": list("abcd"), "split": "train"})
    draw = {"cells_per_image": 3, "dimensions": 128}
    bank = fill_whitened_bank(reader, images, count=count, generator=torch.Generator().manual_seed(0), **draw)
    assert bank.patches.shape == (kept, 2)
    assert bank.usual is not None and bank.usual.shape == (3, 3)
    if count > kept:
        torch.testing.assert_close(bank.patches.var(dim=0, unbiased=False), torch.ones(2), rtol=0.1, atol=0)
    with pytest.raises(UserError, match="no training image"):
        fill_whitened_bank(reader, images.assign(split="test"), count=1, generator=torch.Generator(), **draw)


def test_the_usual_is_subtracted_from_the_score_and_not_from_the_map() -> None:
    patches, bank = torch.tensor([[[3.0], [2.5]]]), torch.tensor([[0.0], [9.0]])
    score, distances = judge_patches(patches, bank, neighbours=0, whitening=SAME, usual=torch.tensor([[1.0, -1.0]]))
    torch.testing.assert_close(distances, torch.tensor([[3.0, 2.5]]))
    assert score == 3.5


@pytest.mark.parametrize("whitened", [True, False])
def test_a_bank_judges_from_its_file_as_before(tmp_path: Path, whitened: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(30, 5, generator=generator) * 3
    whitening = fit_whitening(rows) if whitened else None
    usual = torch.randn(2, 3, generator=generator) if whitened else None
    bank = MemoryBank(
        whitening(rows) if whitening else rows, "network", 64, (8, 16), 0 if whitened else 3, mixed=True,
        grey_range=None, grid="coarsest" if whitened else "finest", whitening=whitening, usual=usual,
    )  # fmt: skip
    write_bank(tmp_path / "bank", bank)
    again = read_bank(tmp_path / "bank")
    features = [
        torch.empty(0),
        torch.randn(1, 2, 4, 6, generator=generator),
        torch.randn(1, 3, 2, 3, generator=generator),
    ]
    (first, first_map), (second, second_map) = bank.judge(features), again.judge(features)
    assert first == second
    np.testing.assert_array_equal(first_map, second_map)
    assert first_map.shape == ((2, 3) if whitened else (4, 6))
    assert replace(again, patches=bank.patches, whitening=None, usual=None) == replace(bank, whitening=None, usual=None)
    if whitening and usual is not None:
        whole = torch.cat([torch.nn.functional.adaptive_avg_pool2d(pooled(one), (2, 3)) for one in features[1:]], dim=1)
        expected = patch_distances(whitening(whole[0].permute(1, 2, 0)), bank.patches)
        np.testing.assert_allclose(first_map, expected.numpy(), atol=2e-3)
        assert first == float((expected - usual).max())


def pooled(stage: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(stage, 3, stride=1, padding=1)
