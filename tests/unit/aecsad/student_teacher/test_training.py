"""Training of the students: draws, losses, and what is off by default."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stages.aecsad.student_teacher.params import TrainingParams
from stages.aecsad.student_teacher.training import (
    ColourChange,
    Draw,
    augmented_view,
    draw_batches,
    draw_iterations,
    hard_feature_loss,
    imitate,
    imitation_terms,
    largest_values,
    penalty_loss,
    train_students,
)
from tests.table import violations
from tests.unit.aecsad.students import SMALL_LOCAL, STEM, views

TRAINING = {
    "iterations": 2, "batch_size": 2, "optimizer": "adam", "schedule": "step", "learning_rate": 0.01,
    "weight_decay": 0.0, "hard_quantile": 0.9, "penalty_images": None,
}  # fmt: skip


def draws(kind: str, *, penalty: int = 0) -> list[Draw]:
    stream = draw_iterations(
        8, 3, torch.Generator().manual_seed(5), global_images=kind, colour_strength=0.2, pasted=4, penalty=penalty  # type: ignore[arg-type]
    )  # fmt: skip
    return list(itertools.islice(stream, 200))


def test_nothing_is_drawn_for_what_is_off() -> None:
    rows = draw_batches(8, 3, torch.Generator().manual_seed(5))
    for draw in draws("plain"):
        assert torch.equal(draw.rows, next(rows))
        assert (draw.colours, draw.pasted, draw.penalty) == ((), None, None)


@pytest.mark.parametrize("count", [1, 3, 40, 100], ids=str)
def test_largest_values_are_those_of_topk(count: int) -> None:
    values = torch.randn(100, generator=torch.Generator().manual_seed(0)).round(decimals=1)  # some are equal
    assert torch.equal(largest_values(values, count), values.topk(count).values)
    values[[2, 99]] = torch.nan  # the last is in no block
    assert largest_values(values, count)[:2].isnan().all()


def test_batches_cover_every_image_once_an_epoch_and_are_seeded() -> None:
    first = draw_batches(10, 4, torch.Generator().manual_seed(3))
    again = draw_batches(10, 4, torch.Generator().manual_seed(3))
    batches = [next(first) for _ in range(4)]
    assert all(torch.equal(batch, next(again)) for batch in batches)
    assert len(torch.cat(batches[:2]).unique()) == 8  # two batches of four, the rest of two is excluded
    assert len(next(draw_batches(3, 8, torch.Generator()))) == 3


def test_colour_changes_are_of_all_kinds_and_within_the_strength() -> None:
    changes = [change for draw in draws("colour") for change in draw.colours]
    assert len(changes) == 600
    assert {change.kind for change in changes} == {0, 1, 2}
    assert 0.8 <= min(change.factor for change in changes) < 0.82
    assert 1.18 < max(change.factor for change in changes) <= 1.2


def test_colour_changes_by_hand() -> None:
    image = torch.tensor([100, 50, 10], dtype=torch.uint8).view(3, 1, 1).expand(3, 2, 2).contiguous()
    luma = 0.299 * 100 + 0.587 * 50 + 0.114 * 10
    assert ColourChange(0, 0.9)(image)[:, 0, 0].tolist() == [90, 45, 9]
    for kind in (1, 2):  # towards the mean brightness of the image, and of the pixel: the same in a uniform image
        expected = [0.8 * value + 0.2 * luma for value in (100, 50, 10)]
        np.testing.assert_allclose(ColourChange(kind, 0.8)(image)[:, 0, 0], expected, atol=1.01)


def test_pasted_and_natural_images_are_drawn_from_all() -> None:
    found = draws("pasted", penalty=10)
    pasted = [draw.pasted for draw in found if draw.pasted is not None]
    assert torch.cat(pasted).unique().tolist() == [0, 1, 2, 3]
    penalties = [draw.penalty for draw in found if draw.penalty is not None]
    assert {penalty.row for penalty in penalties} == set(range(10))
    assert 0.2 < np.mean([penalty.grey for penalty in penalties]) < 0.4


def test_hard_loss_equals_the_sorted_quantile() -> None:
    def check(quantile: float) -> None:
        generator = torch.Generator().manual_seed(1)
        teacher, student = (torch.randn(2, 3, 7, 5, generator=generator) for _ in range(2))
        squared = ((teacher - student) ** 2).flatten()
        expected = squared[squared >= torch.quantile(squared, quantile)].mean()
        torch.testing.assert_close(hard_feature_loss(teacher, student, quantile=quantile), expected)

    assert violations(check, zip([0.0, 0.5, 0.9, 0.999])) == []


def test_hard_loss_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        hard_feature_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 3, 2, 2), quantile=0.9)
    with pytest.raises(ValueError, match="quantile must be in"):
        hard_feature_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), quantile=1.0)


@pytest.mark.parametrize("local", [SMALL_LOCAL, STEM], ids=["patch", "stem"])
def test_augmented_images_concern_the_global_terms_only(local: dict[str, Any]) -> None:
    seen, others = views(local)
    rows = torch.tensor([0, 1])
    seen.module.eval()
    plain = imitation_terms(seen.module, seen, Draw(rows), None, hard_quantile=0.9)
    pasted = imitation_terms(seen.module, seen, Draw(rows, pasted=rows), others, hard_quantile=0.9)
    torch.testing.assert_close(pasted["hard"], plain["hard"])
    assert not torch.allclose(pasted["global"], plain["global"])
    assert not torch.allclose(pasted["global_local"], plain["global_local"])


def test_an_unchanged_image_is_seen_as_the_cached_one() -> None:
    seen, _ = views(STEM)
    rows = torch.tensor([2, 3])
    again = augmented_view(seen, Draw(rows, colours=(ColourChange(0, 1.0), ColourChange(2, 1.0))), None)
    assert again is not None
    cached = seen.training(rows)
    torch.testing.assert_close(again.inputs, cached.inputs)
    torch.testing.assert_close(again.teacher, cached.teacher, atol=0.02, rtol=0.01)  # the cache is of half precision
    torch.testing.assert_close(again.local_inputs, cached.local_inputs, atol=0.02, rtol=0.01)


@pytest.mark.parametrize("kind", ["plain", "colour", "pasted"])
def test_training_repeats_bit_by_bit_and_the_penalty_changes_it(kind: str, here: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save("natural.png")
    weights = []
    for penalty in ([], [], [Path("natural.png")]):
        seen, others = views(STEM)
        params = TrainingParams(**TRAINING, global_images={"kind": kind, "colour_strength": 0.2})  # type: ignore[arg-type]
        train_students(
            seen.module, seen, params, pasted=others if kind == "pasted" else None, penalty_files=penalty,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        weights.append(seen.module.local_student.teacher_head.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_penalty_concerns_the_imitating_head_only() -> None:
    seen, others = views(SMALL_LOCAL)
    local = seen.module.local_student
    penalty_loss(imitate(seen.module, seen.local_inputs(others))).backward()
    assert local.teacher_head.weight.grad is not None
    assert local.teacher_head.weight.grad.abs().sum() > 0
    assert local.global_head.weight.grad is None
    assert all(parameter.grad is None for parameter in seen.module.global_student.parameters())
