"""Student-teacher networks and losses against numbers from CSAD's own code (origin: tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.aecsad.model.networks import GlobalStudent, LocalStudent
from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.model.teacher import TeacherHead, fit_normalisation
from stages.aecsad.student_teacher.scoring import calibrate
from stages.aecsad.student_teacher.training import hard_feature_loss, loss_terms, penalty_loss
from tests.golden.hashed import conv_kinds, conv_tensors, fill, hash_u, hval

FOLDER = Path(__file__).parent
NETWORK_TOLERANCE = {"rtol": 0, "atol": 1e-4}


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name) as arrays:
        return dict(arrays)


def golden_image() -> torch.Tensor:
    return hval((2, 3, 256, 256), 9001, 2.0)[:1]


def test_the_hash_gives_the_documented_values() -> None:
    np.testing.assert_allclose(hash_u(4, 1), [0.57339758, 0.58839377, 0.70413373, 0.92776292], atol=5e-9)
    np.testing.assert_allclose(golden_image().flatten()[:16], load("csad_students.npz")["img_head"])


@torch.no_grad()
def test_local_student_equals_csad() -> None:
    student = LocalStudent((256, 512, 512, 512, 16), pooling=True, stride=4, dim=16, map_size=64, batch_norm=False)
    layers = [getattr(student, f"conv{n}") for n in range(1, 6)] + [student.teacher_head, student.global_head]
    fill(conv_tensors(*layers), conv_kinds(7), base=3000)
    shared = student.eval()(golden_image())
    golden = load("csad_students.npz")
    np.testing.assert_allclose(student.teacher_head(shared)[..., ::2, ::2], golden["ls16.st"], **NETWORK_TOLERANCE)
    np.testing.assert_allclose(student.global_head(shared)[..., ::2, ::2], golden["ls16.ae"], **NETWORK_TOLERANCE)


@pytest.mark.parametrize(("map_size", "key", "step"), [(64, "ae_small.out", 1), (48, "ae_small48.out", 2)])
@torch.no_grad()
def test_global_student_as_csad_autoencoder(map_size: int, key: str, step: int) -> None:
    student = GlobalStudent(
        8,
        dim=16,
        map_size=map_size,
        decoder_steps=[3, 8, 15, 32, 63, 127],
        attended_steps=[],
        attention=False,
        bottleneck=True,
        batch_norm=False,
        dropout=0.2,
    ).eval()
    layers = [*student.encoder, student.code, *student.decoder, student.refine, student.head]
    fill(conv_tensors(*layers), conv_kinds(14), base=1000)
    np.testing.assert_allclose(
        student(golden_image())[..., ::step, ::step], load("csad_students.npz")[key], **NETWORK_TOLERANCE
    )


@torch.no_grad()
def test_commuted_teacher_head_equals_csad() -> None:
    head = TeacherHead((512, 1024), dim=32, map_size=64)
    together = torch.nn.Conv2d(1536, 32, 1)
    fill(conv_tensors(together), conv_kinds(1), base=5000)
    for projection, weight in zip(head.projections, together.weight.split([512, 1024], dim=1), strict=True):
        projection.weight.copy_(weight)
    head.bias.copy_(together.bias)
    stages = [hval((1, 512, 32, 32), 5101), hval((1, 1024, 16, 16), 5102)]
    np.testing.assert_allclose(
        head.project(stages)[..., ::2, ::2], load("csad_teacher.npz")["teacher_head.out"], **NETWORK_TOLERANCE
    )


@torch.no_grad()
def test_teacher_normalisation_weighs_a_short_batch_like_a_full_one() -> None:
    head = TeacherHead((8, 8), dim=32, map_size=8)
    batches = [hval((size, 32, 8, 8), 5200 + i, 1 + 0.3 * i) for i, size in enumerate([2, 2, 2, 2, 1])]
    fit_normalisation(head, batches)
    golden = load("csad_teacher.npz")
    np.testing.assert_allclose(head.mean, golden["tnorm.mean"].ravel(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(head.std, golden["tnorm.std"].ravel(), rtol=1e-5)


def test_hard_feature_loss_and_gradient_equal_csad() -> None:
    golden = load("csad_losses.npz")
    teacher = hval((2, 16, 16, 16), 7101, 1.7)
    student = hval((2, 16, 16, 16), 7102, 1.5).requires_grad_()
    loss = hard_feature_loss(teacher, student, quantile=0.999)
    loss.backward()
    np.testing.assert_allclose(float(loss.detach()), golden["lgst.loss_hard"], rtol=1e-5)
    assert student.grad is not None
    assert int((student.grad != 0).sum()) == int(golden["lgst.loss_hard.grad_nnz"])
    np.testing.assert_allclose(student.grad, golden["lgst.loss_hard.grad"], atol=1e-6)


def test_global_terms_equal_csad() -> None:
    golden = load("csad_losses.npz")
    teacher, student = hval((2, 16, 16, 16), 7101, 1.7), hval((2, 16, 16, 16), 7102, 1.5)
    student_of_global, predicted = hval((2, 16, 16, 16), 7103, 1.5), hval((2, 16, 16, 16), 7104, 1.5)
    terms = loss_terms(teacher, student, teacher, predicted, student_of_global, hard_quantile=0.999)
    np.testing.assert_allclose(float(terms["global"]), golden["lgst.loss_ae"], rtol=1e-5)
    np.testing.assert_allclose(float(terms["global_local"]), golden["lgst.loss_stae"], rtol=1e-5)


def golden_map(start: int, count: int) -> list[dict[str, torch.Tensor]]:
    """Maps of images whose features come from the hash: teacher, student, global student, student of the global one."""
    maps = []
    for image in range(count):
        first = start + 10 * image
        teacher, student, predicted, of_global = (
            hval((1, 16, 16, 16), first + number, scale) for number, scale in enumerate((1.0, 0.8, 0.9, 0.7))
        )
        squares = {"local": (teacher - student) ** 2, "global_local": (predicted - of_global) ** 2}
        maps.append({name: values.mean(dim=1) for name, values in squares.items()})
    return maps


@pytest.mark.parametrize(
    ("score_size", "key"), [(64, "map.scores_val6_test4_interpolated"), (None, "map.scores_export_no_interp")]
)
def test_map_scores_equal_csad(score_size: int | None, key: str) -> None:
    module = StudentTeacher(
        channels=[2, 3, 5], dim=4, map_size=16, local_student={"network": "stem", "width": 4},
        global_student={"width": 4, "decoder_steps": [8], "attended_steps": [], "attention": False,
                        "bottleneck": False, "batch_norm": False, "dropout": 0.0},
        maps=["local", "global_local"], pooled_cells=1, score_size=score_size,
    )  # fmt: skip
    validation, test = golden_map(7200, 6), golden_map(7500, 4)
    calibrate(module, validation, quantiles=(0.9, 0.995))
    golden = load("csad_losses.npz")
    np.testing.assert_allclose(
        module.map_range.ravel(), golden["map.quantiles_st_start_st_end_ae_start_ae_end"], rtol=1e-4
    )
    scores = [float(module.pool(module.combine(maps))) for maps in [*validation, *test]]
    np.testing.assert_allclose(scores[-len(golden[key]) :], golden[key], rtol=1e-4)


def test_penalty_and_total_equal_csad() -> None:
    golden = load("csad_losses.npz")
    features = [hval((2, 16, 16, 16), 7101 + number, scale) for number, scale in enumerate((1.7, 1.5, 1.5, 1.5))]
    teacher, student, student_of_global, predicted = features
    terms = loss_terms(teacher, student, teacher, predicted, student_of_global, hard_quantile=0.999)
    terms["penalty"] = penalty_loss(hval((1, 16, 16, 16), 7105, 0.4))
    np.testing.assert_allclose(float(terms["penalty"]), golden["lgst.loss_penalty"], rtol=1e-5)
    np.testing.assert_allclose(float(sum(terms.values())), golden["lgst.total"], rtol=1e-5)
