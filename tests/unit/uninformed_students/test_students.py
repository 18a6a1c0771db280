"""Uninformed Students: losses, maps and statistics by hand or by another formula, and invariants."""

import copy
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stages.core.run.errors import UserError
from stages.core.training.optimisation import optimise
from stages.uninformed_students.augmentation import Augmentation, Normalize, Resize, ToImage
from stages.uninformed_students.patch_network import PatchNetwork
from stages.uninformed_students.scoring import (
    Ensemble,
    RawMaps,
    ScoreRange,
    cell_range,
    combine,
    image_scores,
    map_image,
    plain_score_map,
    raw_maps,
    score_range,
    standardised_score_map,
)
from stages.uninformed_students.students import imitation_terms
from stages.uninformed_students.teacher import RunningStatistics, normalise_teacher
from stages.uninformed_students.training import compactness_loss, distillation_loss, imitation_loss

PLAIN = Augmentation(
    [
        Resize(name="Resize", size=16),
        ToImage(name="ToImage"),
        Normalize(name="Normalize", mean=(0, 0, 0), std=(1, 1, 1)),
    ],
    patch_size=17,
)


def network(patch_size: int, *, dim: int = 3, seed: int = 0) -> PatchNetwork:
    torch.manual_seed(seed)
    return PatchNetwork(patch_size, dim=dim, width=0.04)


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) - 0.5


def test_losses_by_hand() -> None:
    first, second = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    assert float(distillation_loss(first, second)) == pytest.approx((1 + 4 + 16) / 2)
    maps = torch.zeros(1, 2, 1, 2)
    maps[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    assert float(imitation_loss(maps, torch.zeros(1, 2, 1, 2))) == pytest.approx(25 / 2)
    for loss in (distillation_loss, imitation_loss):
        with pytest.raises(ValueError, match=r"shapes differ: \(2, 2\) and \(1, 2\)"):
            loss(first, second[:1])


def test_compactness_counts_correlated_pairs() -> None:
    """Rows 1, 2, 3: falling with the first is a correlation of -1; the third column is at right angles to both."""
    column = torch.tensor([-1.0, 0.0, 1.0])
    other = torch.tensor([1.0, -2.0, 1.0])
    batch = torch.stack([column, 5 - 2 * column, other, torch.full((3,), 7.0)], dim=1).requires_grad_()
    loss = compactness_loss(batch)
    assert float(loss.detach()) == pytest.approx(1.0, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, batch)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[:, 3] == 0).all())  # constant over the batch
    with pytest.raises(ValueError, match="two patches in a batch at least"):
        compactness_loss(batch[:1])


def test_maps_by_hand() -> None:
    """Two students return 1 and 3 where the teacher returns 0: error 2², variance 1²."""
    students = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1)
    maps = raw_maps(students, torch.zeros(1, 1, 1, 1))
    assert (float(maps.error), float(maps.variance)) == (4.0, 1.0)
    assert float(plain_score_map(maps)) == 5.0
    assert float(combine(maps, None, variance_weight=0.25)) == 4.25
    weighted = combine(maps, spread((2.0, 4.0), (0.5, 0.25)), variance_weight=0.25)
    assert float(weighted) == pytest.approx(0.5 + 0.25 * 2.0)
    assert float(standardised_score_map(maps, spread((2.0, 4.0), (0.5, 0.25)))) == pytest.approx(0.5 + 2.0)
    assert float(standardised_score_map(maps, spread((2.0, 4.0), (0.0, 0.0)))) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="shapes differ"):
        raw_maps(students, torch.zeros(1, 2, 1, 1))
    scores = image_scores(torch.tensor([[[1.0, 4.0], [2.0, 0.0]]]), pooled_cells=1)
    assert scores.tolist() == [4.0]
    assert image_scores(torch.tensor([[[1.0, 4.0], [2.0, 0.0]]]), pooled_cells=2).tolist() == [3.0]


def spread(error: tuple[float, float], variance: tuple[float, float]) -> ScoreRange:
    return ScoreRange(
        (torch.tensor(error[0]), torch.tensor(error[1])), (torch.tensor(variance[0]), torch.tensor(variance[1]))
    )


def test_standardised_cell_by_cell() -> None:
    """Errors of 1 and 3 left, 10 and 10 right: mean 2 and 10, deviation 1 and 0, over all pixels the root of 16.5."""
    zero = torch.zeros(1, 1, 2)
    normal = [RawMaps(torch.tensor([[[error, 10.0]]]), zero) for error in (1.0, 3.0)]
    odd = RawMaps(torch.tensor([[[5.0, 50.0]]]), zero)
    cells = combine(odd, cell_range(normal, variance_weight=1.0), variance_weight=1.0)
    expected = torch.tensor([3 / (1 + 0.1 * 16.5**0.5), 40 / (0.1 * 16.5**0.5)])
    torch.testing.assert_close(cells[0, 0], expected)
    pixels = combine(odd, score_range(normal), variance_weight=1.0)
    values = torch.tensor([1.0, 10.0, 3.0, 10.0])
    torch.testing.assert_close(pixels[0, 0], (torch.tensor([5.0, 50.0]) - values.mean()) / values.std(correction=0))


def test_cell_by_cell_error_and_variance_are_added_before_they_are_standardised() -> None:
    """Half of variances of 2 and 6 on errors of 1 and 3: a is 2 and 6, its deviation 2; the odd one has 5 + 10."""
    normal = [RawMaps(torch.full((1, 1, 1), one), torch.full((1, 1, 1), two)) for one, two in ((1.0, 2.0), (3.0, 6.0))]
    odd = RawMaps(torch.full((1, 1, 1), 5.0), torch.full((1, 1, 1), 20.0))
    found = combine(odd, cell_range(normal, variance_weight=0.5), variance_weight=0.5)
    assert float(found) == pytest.approx((15 - 4) / (2 + 0.1 * 2))


def test_one_student_has_no_variance() -> None:
    maps = raw_maps(pictures(1, 2, 3, 4, 4), pictures(2, 3, 4, 4).flip(-1))
    assert bool((maps.variance == 0).all())
    score = combine(maps, score_range([maps]), variance_weight=1.0)
    expected = (maps.error - maps.error.mean()) / maps.error.std(correction=0)
    torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 5))
def test_the_order_of_students_does_not_matter(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    students, teacher = (
        torch.randn(count, 1, 6, 3, 3, generator=generator),
        torch.randn(1, 6, 3, 3, generator=generator),
    )
    maps, mixed = raw_maps(students, teacher), raw_maps(students.flip(0), teacher)
    assert float(maps.error.min()) >= 0
    assert float(maps.variance.min()) >= 0
    torch.testing.assert_close(maps.error, mixed.error)
    torch.testing.assert_close(maps.variance, mixed.variance)
    moments = students.square().sum(dim=2).mean(dim=0) - students.mean(dim=0).square().sum(dim=1)
    torch.testing.assert_close(maps.variance, moments, rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=5), shift=st.sampled_from([0.0, 1e4]))
def test_statistics_do_not_depend_on_the_batches(cuts: list[int], shift: float) -> None:
    values = pictures(60, 4).double() + shift
    statistics = RunningStatistics.empty(4)
    edges = [0, *sorted(cuts), 60]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        statistics.add(values[start:stop])
    torch.testing.assert_close(statistics.mean, values.mean(dim=0))
    torch.testing.assert_close(statistics.variance, values.var(dim=0, correction=0), rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="no values"):
        _ = RunningStatistics.empty(2).variance


def test_the_normalised_teacher_has_mean_0_and_variance_1(caplog: pytest.LogCaptureFixture) -> None:
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    teacher = network(17, dim=4)
    assert teacher.decode.bias is not None
    with torch.no_grad():
        teacher.decode.weight[3] = 0
        before = teacher.dense(PLAIN.normalise(images))
    normalise_teacher(teacher.requires_grad_(False), images, PLAIN, stride=1, tile=6)
    after = teacher.dense(PLAIN.normalise(images))
    expected = (before - before.mean(dim=(0, 2, 3), keepdim=True)) / before.std(
        dim=(0, 2, 3), keepdim=True, correction=0
    ).clamp_min(1e-9)
    torch.testing.assert_close(after[:, :3], expected[:, :3], rtol=1e-4, atol=1e-4)
    assert bool((after[:, 3] == 0).all())
    assert "1 of 4 numbers of the teacher's descriptor do not vary" in caplog.text
    with torch.no_grad():
        teacher.decode.weight.zero_()
    with pytest.raises(UserError, match="describes every pixel of the training images alike"):
        normalise_teacher(teacher, images, PLAIN, stride=1, tile=16)


def test_students_train_together_as_they_would_alone(tmp_path: Path) -> None:
    teacher = network(17, dim=4, seed=9).requires_grad_(False)
    students = [network(17, dim=4, seed=seed) for seed in (1, 2)]
    batches = [pictures(1, 3, 16, 16) * scale for scale in (1.0, 0.5, 2.0)]

    def train(group: list[PatchNetwork]) -> None:
        module = nn.ModuleList(group)
        optimise(
            module, iter(batches), lambda batch: imitation_terms(module, teacher, batch, stride=1, tile=16),
            weights={f"student_{n + 1}": 1.0 for n in range(len(group))}, iterations=3, optimizer="adam",
            schedule="constant", learning_rate=0.01, weight_decay=1e-5, label="test", checkpoint=tmp_path / "test.pt",
        )  # fmt: skip

    alone = [copy.deepcopy(student) for student in students]
    train(students)
    for student in alone:
        train([student])
    for one, other in zip(students, alone, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bfloat16 on CPUs that have it."""
    monkeypatch.setattr("stages.uninformed_students.patch_network.mixed_precision", lambda _device: nullcontext())


@pytest.mark.usefixtures("float32")
def test_tiles_change_neither_loss_nor_gradient() -> None:
    teacher, images = network(33, seed=9).requires_grad_(False), pictures(2, 3, 24, 40)
    results = []
    for tile in (64, 16):
        student = network(33, seed=1)
        terms = imitation_terms(nn.ModuleList([student]), teacher, images, stride=4, tile=tile)
        terms["student_1"].backward()
        gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
        results.append((terms["student_1"].detach(), *gradients))
    assert len(results[0]) > 5
    for whole, tiled in zip(*results, strict=True):
        torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("float32")
def test_a_perfect_student_scores_0_and_maps_do_not_depend_on_tiles() -> None:
    teacher = network(33, dim=5).requires_grad_(False)
    image = torch.randint(0, 256, (1, 3, 30, 21), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    copies = Ensemble(teacher, ([copy.deepcopy(teacher), copy.deepcopy(teacher)]))
    perfect = map_image(copies, image, PLAIN, stride=2, tile=8)
    assert perfect.error.shape == (1, 15, 11)
    assert float(perfect.error.max()) == float(perfect.variance.max()) == 0.0
    others = Ensemble(teacher, nn.ModuleList([network(33, dim=5, seed=seed) for seed in (1, 2)]))
    whole, tiled = (map_image(others, image, PLAIN, stride=2, tile=side) for side in (64, 8))
    torch.testing.assert_close(tiled.error, whole.error, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(tiled.variance, whole.variance, rtol=1e-4, atol=1e-6)
