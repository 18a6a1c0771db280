"""What is off by default in the student-teacher branch: augmented images, the penalty, other distances and scores."""

import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.student_teacher.data import Views, find_penalty_images, fit_teacher, load_penalty_image
from stages.aecsad.student_teacher.fitting import wanted_pasted
from stages.aecsad.student_teacher.params import TrainingParams
from stages.aecsad.student_teacher.training import (
    ColourChange,
    Draw,
    augmented_view,
    draw_batches,
    draw_iterations,
    imitate,
    imitation_terms,
    penalty_loss,
    train_students,
)
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError
from tests.unit.aecsad.student_teacher.test_student_teacher import SMALL_GLOBAL, SMALL_LOCAL

TRAINING = {
    "iterations": 2, "batch_size": 2, "optimizer": "adam", "schedule": "step", "learning_rate": 0.01,
    "weight_decay": 0.0, "hard_quantile": 0.9, "penalty_images": None,
}  # fmt: skip
STEM = {"network": "stem", "width": 4}


def draws(kind: str, *, penalty: int = 0) -> list[Draw]:
    stream = draw_iterations(
        8, 3, torch.Generator().manual_seed(5), global_images=kind, colour_strength=0.2, pasted=4, penalty=penalty  # type: ignore[arg-type]
    )  # fmt: skip
    return list(itertools.islice(stream, 200))


def views(local: dict[str, Any]) -> tuple[Views, torch.Tensor]:
    """Four noisy training images, fitted, and two other images."""
    torch.manual_seed(0)
    encoder = FrozenEncoder("tf_efficientnet_lite0")
    module = StudentTeacher(
        channels=encoder.channels, dim=6, map_size=32, local_student=local, global_student=SMALL_GLOBAL,
        maps=["local", "global_local"], pooled_cells=1,
    )  # fmt: skip
    images = torch.randint(0, 256, (6, 3, 256, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    targets, stems = fit_teacher(
        module.teacher, encoder, images[:4], projection="random", stage_weights=[1.0, 1.0],
        keep_stems=module.local_student.reads == "stem",
    )  # fmt: skip
    return Views(module, encoder, images[:4], targets, stems), images[4:]


def test_nothing_is_drawn_for_what_is_off() -> None:
    rows = draw_batches(8, 3, torch.Generator().manual_seed(5))
    for draw in draws("plain"):
        assert torch.equal(draw.rows, next(rows))
        assert (draw.colours, draw.pasted, draw.penalty) == ((), None, None)


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


def test_the_penalty_image_is_the_middle_of_the_image_twice_as_large(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 3), dtype=np.uint8)
    picture[8:24, 8:24] = (200, 100, 50)  # the middle half: all of the crop but for the blurred rim
    Image.fromarray(picture).save(tmp_path / "a.png")
    colour = load_penalty_image(tmp_path / "a.png", size=16, grey=False)
    assert colour.shape == (1, 3, 16, 16)
    assert colour[0, :, 2:-2, 2:-2].flatten(1).unique(dim=1).flatten().tolist() == [200, 100, 50]
    grey = load_penalty_image(tmp_path / "a.png", size=16, grey=True)
    assert grey[0, :, 8, 8].tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)] * 3


def test_penalty_folders_are_checked_and_their_absence_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert find_penalty_images(None) == []
    assert "penalty_images is null" in caplog.text
    with pytest.raises(UserError, match="is not a folder"):
        find_penalty_images(str(tmp_path / "none"))
    with pytest.raises(UserError, match="holds no image"):
        find_penalty_images(str(tmp_path))
    (tmp_path / "deep").mkdir()
    for name in ("b.JPEG", "deep/a.png", "readme.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_penalty_images(str(tmp_path))] == ["b.JPEG", "a.png"]


def test_pasted_images_must_be_there_and_fit() -> None:
    images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    assert wanted_pasted(images, "plain", size=8) is None
    found = wanted_pasted(images, "pasted", size=8)
    assert found is not None
    assert found.shape == (2, 3, 8, 8)
    with pytest.raises(UserError, match=r"set lsa\.copies"):
        wanted_pasted(images[:0], "pasted", size=8)
    with pytest.raises(UserError, match="of 8 px"):
        wanted_pasted(images, "pasted", size=16)


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
def test_training_repeats_bit_by_bit_and_the_penalty_changes_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
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


def test_a_norm_is_the_root_of_the_sum_of_squares() -> None:
    seen, others = views(STEM)
    module, image = seen.module.eval(), others[:1].float() / 255
    squares = module.raw_maps(image, seen.encoder)
    module.distance = "norm"
    for name, values in module.raw_maps(image, seen.encoder).items():
        torch.testing.assert_close(values**2 / 6, squares[name])
