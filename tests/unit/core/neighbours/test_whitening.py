"""Whitening and usual distances, worked out by hand, and a bank that has both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.core.neighbours.bank import Bank, View, patch_distances
from stages.core.neighbours.discriminator import Discriminator
from stages.core.neighbours.memory import MemoryBank, read_bank, write_bank
from stages.core.neighbours.whitening import RIDGE, fit_whitening, usual_distances


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


def test_views_are_averaged_and_the_usual_is_subtracted_from_the_score_only() -> None:
    patches, views = torch.tensor([[[3.0], [2.5]]]), (View(torch.tensor([[0.0], [9.0]])), View(torch.zeros(1, 1)))
    score, distances = Bank(views, neighbours=0, usual=torch.tensor([[1.0, -1.0]])).judge(patches)
    torch.testing.assert_close(distances, torch.tensor([[3.0, 2.5]]))
    assert score == 3.5
    views = (views[0], replace(views[1], spread=0.5))  # distances 6 and 5
    torch.testing.assert_close(Bank(views, neighbours=0).judge(patches)[1], torch.tensor([[4.5, 3.75]]))


@pytest.mark.parametrize("viewed", [True, False])
def test_a_bank_judges_from_its_file_as_before(tmp_path: Path, viewed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(30, 5, generator=generator) * 3
    whitening = fit_whitening(rows)
    usual = torch.randn(2, 3, generator=generator)
    views = (View(rows, spread=1.7), View(whitening(rows[:20]), whitening, 0.3))
    layers = [torch.randn(size, generator=generator) for size in ((5, 4), (4,), (4,), ())]
    discriminator = Discriminator(whitening, *layers)
    own = Bank(views, 0, usual, discriminator) if viewed else Bank((View(rows),), 3)
    bank = MemoryBank(
        own, "network", (64, 96), (8, 16), mixed=True, grey_range=None, grid="coarsest" if viewed else "finest"
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
    assert first_map.shape == ((2, 3) if viewed else (4, 6))
    assert replace(again, bank=own) == bank
    if viewed:
        whole = torch.cat([torch.nn.functional.adaptive_avg_pool2d(pooled(one), (2, 3)) for one in features[1:]], dim=1)
        patches = whole[0].permute(1, 2, 0)
        plain, whitened = patch_distances(patches, rows), patch_distances(whitening(patches), views[1].patches)
        expected = (plain / 1.7 + whitened / 0.3) / 2
        np.testing.assert_allclose(first_map, expected.numpy(), rtol=1e-3)
        hidden = torch.relu(whitening(patches).clamp(-5, 5) @ layers[0] + layers[1])
        raised = expected + hidden @ layers[2] + layers[3]
        assert first == pytest.approx(float((raised - usual).max()), rel=1e-6)


def pooled(stage: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(stage, 3, stride=1, padding=1)
