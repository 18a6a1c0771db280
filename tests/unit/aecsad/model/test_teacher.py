"""The teacher's projection and normalisation: by hand, with dead channels, and what is refused."""

import pytest
import torch

from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.model.teacher import TeacherHead, fit_normalisation, make_orthonormal, weigh_stages
from stages.aecsad.student_teacher.data import channel_statistics
from stages.core.run.errors import UserError


def test_stage_weights_scale_what_each_stage_adds() -> None:
    torch.manual_seed(0)
    head = TeacherHead((3, 5), dim=4, map_size=8)
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    nothing = [torch.zeros_like(fine), torch.zeros_like(coarse)]
    bias = head.project(nothing)
    before = [head.project([fine, nothing[1]]) - bias, head.project([nothing[0], coarse]) - bias]
    weigh_stages(head, [3.0, 0.5])
    torch.testing.assert_close(head.project([fine, coarse]) - bias, 3.0 * before[0] + 0.5 * before[1])


def test_orthonormal_projection_is_of_standardised_channels() -> None:
    torch.manual_seed(0)
    head = TeacherHead((3, 5), dim=4, map_size=8)
    stages = [torch.randn(6, 3, 8, 8) * 100 + 7, torch.randn(6, 5, 4, 4) * 0.01]
    mean, std = zip(*(channel_statistics([stage]) for stage in stages), strict=True)
    make_orthonormal(head, mean, std)
    rows = torch.cat([p.weight[:, :, 0, 0] * s for p, s in zip(head.projections, std, strict=True)], dim=1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(4), atol=1e-5, rtol=0)
    assert head.project(stages).mean().abs() < 0.05  # centred


def test_more_rows_than_channels_is_an_error() -> None:
    with pytest.raises(UserError, match="9 orthonormal rows do not fit into the encoder's 8 channels"):
        make_orthonormal(TeacherHead((3, 5), dim=9, map_size=8), [torch.zeros(3), torch.zeros(5)], [torch.ones(3)] * 2)


def test_constant_training_images_are_a_user_error() -> None:
    with pytest.raises(UserError, match="constant over all training images"):
        fit_normalisation(TeacherHead((3, 5), dim=4, map_size=8), [torch.ones(2, 4, 8, 8)])


def test_dead_encoder_channels_give_finite_targets() -> None:
    """A channel without variance counts with deviation 1: it adds nothing to the standardised projection."""
    torch.manual_seed(0)
    stages = [torch.randn(6, 3, 8, 8), torch.randn(6, 5, 4, 4)]
    stages[0][:, 1] = 7.0
    head = TeacherHead((3, 5), dim=4, map_size=8)
    mean, std = zip(*(channel_statistics([stage]) for stage in stages), strict=True)
    make_orthonormal(head, mean, std)
    fit_normalisation(head, [head.project(stages)])
    targets = head(stages)
    assert targets.isfinite().all()
    stages[0][:, 1] = 7.0 + 1e-3
    torch.testing.assert_close(head(stages), targets, atol=0.01, rtol=0)


def test_a_dead_teacher_channel_is_named() -> None:
    """One channel is enough: dividing by its deviation would give infinities."""
    outputs = torch.randn(4, 3, 8, 8)
    outputs[:, 2] = 1.5
    with pytest.raises(UserError, match="teacher channel 2 is constant"):
        fit_normalisation(TeacherHead((3, 5), dim=3, map_size=8), [outputs])


def test_features_of_another_number_of_channels_are_refused() -> None:
    """Not a user's mistake: torch names the sizes."""
    head = TeacherHead((3, 5), dim=4, map_size=8)
    with pytest.raises(RuntimeError, match="channels"):
        head.project([torch.zeros(1, 4, 8, 8), torch.zeros(1, 5, 4, 4)])
    with pytest.raises(ValueError, match="shorter"):
        head.project([torch.zeros(1, 3, 8, 8)])
    segmentor = Segmentor((4, 6), num_classes=2, width=8, momentum=0.1)
    with pytest.raises(RuntimeError, match="channels"):
        segmentor(torch.zeros(2, 4, 8, 8), torch.zeros(2, 5, 2, 2), size=16)
