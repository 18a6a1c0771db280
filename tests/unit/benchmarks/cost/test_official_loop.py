"""What the benchmark of the training step compares computes the same."""

import pytest
import torch

from benchmarks.cost.official_loop import CELLS, CHANNELS, DIM, CheapLoop, WrittenHead, sorted_hard_loss
from stages.aecsad.model.teacher import TeacherHead
from stages.aecsad.student_teacher.training import hard_feature_loss
from tests.architecture.source_files import ROOT


def test_a_full_sort_returns_the_same_loss() -> None:
    teacher, student = torch.randn(2, 2, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = hard_feature_loss(teacher, student, quantile=0.999)
    torch.testing.assert_close(sorted_hard_loss(teacher, student), expected)


def test_written_and_commuted_head_return_the_same_features() -> None:
    written, commuted = WrittenHead().requires_grad_(False), TeacherHead(CHANNELS, dim=DIM, map_size=CELLS)
    weights = written.project.weight.split(CHANNELS, dim=1)
    for projection, weight in zip(commuted.projections, weights, strict=True):
        projection.weight.copy_(weight)
    assert written.project.bias is not None
    commuted.bias.copy_(written.project.bias)
    stages = [torch.rand(1, count, side, side) for count, side in zip(CHANNELS, (8, 4), strict=True)]
    torch.testing.assert_close(written(stages), commuted(stages), atol=1e-5, rtol=1e-4)


def test_the_cheap_loop_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    torch.manual_seed(0)
    loop = CheapLoop(torch.device("cpu"))
    before = [parameter.detach().clone() for parameter in loop.students.parameters()]
    loop()
    changed = [not torch.equal(old, new) for old, new in zip(before, loop.students.parameters(), strict=True)]
    assert sum(changed) == len(changed) == pytest.approx(len(before))
