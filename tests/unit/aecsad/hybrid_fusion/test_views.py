"""A bank of two views: what it keeps, what it compares with what, and its units."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from stages.aecsad.hybrid_fusion.views import distances_to_others, fill_viewed_bank, spread_of
from stages.core.neighbours.bank import View
from stages.core.run.errors import UserError


def test_a_training_image_is_compared_with_patches_of_other_images() -> None:
    view, sources = View(torch.tensor([[0.0], [5.0]])), torch.tensor([0, 1])
    images = [(number, torch.tensor([[[value]]])) for number, value in enumerate([0.0, 5.0, 1.0])]
    found = distances_to_others(images, view, sources)
    assert {number: float(one) for number, one in found.items()} == {0: 5.0, 1: 5.0, 2: 1.0}
    alone = View(view.patches[:1])
    assert distances_to_others(images[:1], alone, sources[:1]) == {}  # no other image gave a patch


def test_the_unit_of_a_view_is_the_spread_of_normal_distances() -> None:
    patches = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 4.0], [0.0, -4.0]])  # total variance 4.5 + 8
    maps = {0: torch.tensor([[1.0, 3.0]]), 2: torch.tensor([[5.0, 7.0]])}
    assert spread_of(maps, patches) == pytest.approx(5**0.5)
    assert spread_of({}, patches) == pytest.approx(12.5**0.5)
    equal = {number: torch.full((1, 2), 1e-6) for number in range(2)}
    assert spread_of(equal, patches) == pytest.approx(1e-3 * 12.5**0.5)
    assert spread_of({}, patches[:1]) == 1.0


@pytest.mark.parametrize(("count", "kept"), [(7, 7), (1000, 12)])
def test_a_viewed_bank_keeps_a_number_of_the_drawn_patches_as_they_are_and_whitened(count: int, kept: int) -> None:
    patches = torch.randn(4, 3, 3, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([10.0, 1.0])
    reader: Any = SimpleNamespace(read=lambda files, label: iter(patches))
    images = pd.DataFrame({"file": list("abcd"), "split": "train"})
    draw = {"cells_per_image": 3, "dimensions": 128}
    bank = fill_viewed_bank(reader, images, count=count, generator=torch.Generator().manual_seed(0), **draw)
    plain, whitened = bank.views
    assert plain.patches.shape == whitened.patches.shape == (kept, 2)
    assert bank.usual is not None and bank.usual.shape == (3, 3)
    known = {tuple(row) for row in patches.view(-1, 2).tolist()}
    assert {tuple(row) for row in plain.patches.tolist()} <= known
    assert plain.spread > 2 * whitened.spread  # in their units both have the same say
    if count > kept:
        torch.testing.assert_close(whitened.patches.var(dim=0, unbiased=False), torch.ones(2), rtol=0.1, atol=0)
    with pytest.raises(UserError, match="no training image"):
        fill_viewed_bank(reader, images.assign(split="test"), count=1, generator=torch.Generator(), **draw)


def test_a_bank_of_a_single_image_judges_without_what_is_usual() -> None:
    patches = torch.randn(1, 3, 3, 2, generator=torch.Generator().manual_seed(0))
    reader: Any = SimpleNamespace(read=lambda files, label: iter(patches))
    images = pd.DataFrame({"file": ["a"], "split": "train"})
    bank = fill_viewed_bank(
        reader, images, count=4, cells_per_image=9, dimensions=8, generator=torch.Generator().manual_seed(0)
    )
    assert bank.usual is None
    own, far = bank.judge(patches[0])[0], bank.judge(patches[0] + 5)[0]
    assert 0 < own < far < 1e3
