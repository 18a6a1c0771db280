"""The discriminator: what it learns from, its unit, and what it adds to distances."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stages.aecsad.hybrid_fusion import discriminating
from stages.aecsad.hybrid_fusion.discriminating import cells_of, examples_of, fit_discriminator, mean_of, read_damaged
from stages.core.neighbours.bank import PatchReader
from stages.core.neighbours.discriminator import Discriminator
from stages.core.neighbours.whitening import Whitening

PLAIN = Whitening(torch.zeros(2), torch.eye(2))


def by_hand(sign: float) -> Discriminator:
    return Discriminator(
        PLAIN, sign * torch.eye(2), torch.tensor([0.5, 0.0]), torch.tensor([2.0, 4.0]), torch.tensor(1.0)
    )


def test_the_network_by_hand() -> None:
    patches = torch.tensor([[[1.0, -1.0], [9.0, 3.0]]])  # 9 counts as 5
    torch.testing.assert_close(by_hand(1.0)(patches), torch.tensor([[4.0, 24.0]]))
    both = mean_of(by_hand(1.0), by_hand(-1.0))
    torch.testing.assert_close(both(patches), (by_hand(1.0)(patches) + by_hand(-1.0)(patches)) / 2)


@pytest.mark.parametrize("count", [1, 2, 5, 40, 19, 79])
def test_both_halves_have_damaged_copies(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discriminating, "COPIES", 20)
    files = [f"{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        values = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(values.repeat(8, axis=0).repeat(8, axis=1)).save(tmp_path / file)
    pictures: list[np.ndarray] = []

    class Cells(PatchReader):
        def patches(self, image: torch.Tensor) -> torch.Tensor:
            assert not self.cached
            pictures.append(image[0].permute(1, 2, 0).numpy())
            return image[0, :, 4::8, 4::8].permute(1, 2, 0).float()

    encoder: Any = None
    found = read_damaged(Cells(encoder, tmp_path, (64, 64), (8,)), files, seed=0)
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers))
    assert len(found) == 2 * (min(20, count) // 2)
    assert sum(number % 2 for number in numbers) == len(found) // 2
    assert count < 3 or numbers[-1] >= count - 2  # spread over all
    assert all(len(one) < 64 for _, one in found)  # never all cells of a copy
    assert any(len(one) for _, one in found) == (count > 1)
    for (number, _), copy in zip(found, pictures, strict=True):
        assert (copy != np.asarray(Image.open(tmp_path / files[number]))).any()


def test_cells_count_as_damaged_from_a_share_on() -> None:
    changed = np.zeros((8, 16), dtype=np.bool_)
    changed[0, :2] = True  # 2 of 16 pixels
    changed[4, 8:11] = True  # 3 of 16
    assert cells_of(changed, torch.zeros(2, 4, 1)).tolist() == [[False] * 4, [False, False, True, False]]


def fitted(count: int) -> tuple[discriminating.Halves | None, list[tuple[int, torch.Tensor]]]:
    """Normal patches have no second value; damaged ones have 3 there."""
    generator = torch.Generator().manual_seed(0)
    images = [(number, torch.randn(4, 4, 2, generator=generator) * torch.tensor([1.0, 0.3])) for number in range(count)]
    broken = [(number, torch.randn(5, 2, generator=generator) + torch.tensor([0.0, 3.0])) for number in range(count)]
    normal = torch.cat([one.flatten(0, 1) for _, one in images])
    sources = torch.tensor([number for number, one in images for _ in range(16)])
    examples = examples_of(normal, sources, broken)
    return fit_discriminator(examples, PLAIN, images, spread=2.0, generator=generator), images


def test_damaged_patches_get_more_and_normal_ones_vary_by_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discriminating, "STEPS", 80)
    halves, images = fitted(6)
    assert halves is not None
    normal, broken = halves.together(torch.tensor([[[0.4, 0.0], [0.4, 3.0]]]))[0].tolist()
    assert broken > normal + 2 * discriminating.SHARE * 2.0
    held_out = torch.cat([halves.held_out(number, one).flatten() for number, one in images])
    assert float(held_out.std(unbiased=False)) == pytest.approx(2.0 * discriminating.SHARE, rel=1e-3)
    again, _ = fitted(6)
    assert again is not None
    torch.testing.assert_close(again.together.hidden, halves.together.hidden, rtol=0, atol=0)


def test_an_image_is_judged_by_what_has_not_learned_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discriminating, "STEPS", 5)
    seen: list[torch.Tensor] = []
    learn = discriminating.fit_network

    def spy(
        whitening: Whitening, normal: torch.Tensor, broken: torch.Tensor, generator: torch.Generator
    ) -> Discriminator:
        seen.append(normal)
        return learn(whitening, normal, broken, generator)

    monkeypatch.setattr(discriminating, "fit_network", spy)
    halves, images = fitted(4)
    assert halves is not None
    for number, one in images:
        own = {tuple(row) for row in one.flatten(0, 1).tolist()}
        learned = [own <= {tuple(row) for row in rows.tolist()} for rows in seen]
        assert sorted(learned) == [False, True]
        judge = halves.by_half[learned.index(False)]
        torch.testing.assert_close(halves.held_out(number, one), judge(one))


def test_one_image_teaches_nothing() -> None:
    assert fitted(1)[0] is None
