"""The student-teacher branch: receptive field, maps, calibration, sampling, losses."""

import numpy as np
import pandas as pd
import pytest
import torch

from stages.aecsad.model.networks import GlobalStudent, LocalStudent, SelfAttention, StemStudent
from stages.aecsad.model.student_teacher import StudentTeacher, build_local_student, rebuild
from stages.aecsad.model.teacher import TeacherHead, fit_normalisation, make_orthonormal, weigh_stages
from stages.aecsad.student_teacher.data import channel_statistics
from stages.aecsad.student_teacher.scoring import calibrate, tabulate
from stages.aecsad.student_teacher.training import draw_batches, hard_feature_loss
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError

SMALL_LOCAL = {"network": "patch", "widths": [4, 4, 4, 4, 4], "pooling": False, "stride": 8, "batch_norm": True}
SMALL_GLOBAL = {
    "width": 8,
    "decoder_steps": [8, 15],
    "attended_steps": [15],
    "attention": True,
    "bottleneck": False,
    "batch_norm": True,
    "dropout": 0.2,
}


def small_module(maps: list[str], pooled_cells: int = 1) -> StudentTeacher:
    torch.manual_seed(0)
    return StudentTeacher(
        channels=[2, 3, 5],
        dim=6,
        map_size=32,
        local_student=SMALL_LOCAL,
        global_student=SMALL_GLOBAL,
        maps=maps,
        pooled_cells=pooled_cells,
    )


@pytest.mark.parametrize("pooling", [True, False], ids=["pooling", "strided"])
def test_local_student_sees_33_pixels(pooling: bool) -> None:
    torch.manual_seed(0)
    student = LocalStudent((4, 4, 4, 4, 4), pooling=pooling, stride=4, dim=2, map_size=64, batch_norm=False)
    for parameter in student.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # positive throughout, so that no ReLU hides a pixel
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    student(image)[0, :, 32, 32].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(dim=0) > 0
    assert seen.any(dim=0).sum() == 33
    assert seen.any(dim=1).sum() == 33


@pytest.mark.parametrize(("stride", "map_size"), [(4, 64), (8, 32)])
def test_local_student_gives_one_cell_per_stride(stride: int, map_size: int) -> None:
    student = LocalStudent((4, 4, 4, 4, 4), pooling=False, stride=stride, dim=2, map_size=1, batch_norm=False)
    x = student.conv2(student.conv1(torch.zeros(1, 3, 256, 256)))
    assert student.conv5(student.conv4(student.conv3(x))).shape[-2:] == (map_size, map_size)


def test_stem_student_sees_39_pixels_through_the_default_encoder() -> None:
    torch.manual_seed(0)
    encoder = FrozenEncoder("tf_efficientnet_lite0")
    student = StemStudent(8, channels=encoder.channels[0], dim=2, map_size=32).eval()
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    features = student(encoder.body(image)[0])
    assert features.shape == (1, 16, 32, 32)
    features[0, :, 16, 16].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(dim=0) > 0
    assert seen.any(dim=0).sum() == 39
    assert seen.any(dim=1).sum() == 39


def test_stem_student_does_not_depend_on_the_scale_of_the_stem() -> None:
    torch.manual_seed(0)
    student, stem = StemStudent(4, channels=3, dim=2, map_size=8), torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(student(stem * 100 + 7), student(stem), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("network", "reads"), [("patch", "image"), ("stem", "stem")])
def test_the_local_student_is_the_one_that_is_named(network: str, reads: str) -> None:
    arguments = SMALL_LOCAL if network == "patch" else {"network": "stem", "width": 4}
    student = build_local_student(arguments, stem_channels=5, dim=6, map_size=32)
    assert student.reads == reads
    inputs = torch.zeros(2, 3, 256, 256) if reads == "image" else torch.zeros(2, 5, 64, 64)
    assert student.teacher_head(student(inputs)).shape == (2, 6, 32, 32)


def test_stage_weights_scale_what_each_stage_adds() -> None:
    torch.manual_seed(0)
    head = TeacherHead((3, 5), dim=4, map_size=8)
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    nothing = [torch.zeros_like(fine), torch.zeros_like(coarse)]
    bias = head.project(nothing)
    before = [head.project([fine, nothing[1]]) - bias, head.project([nothing[0], coarse]) - bias]
    weigh_stages(head, [3.0, 0.5])
    torch.testing.assert_close(head.project([fine, coarse]) - bias, 3.0 * before[0] + 0.5 * before[1])


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("bottleneck", [True, False])
def test_global_student_reaches_the_map_size_in_all_four_variants(attention: bool, bottleneck: bool) -> None:
    student = GlobalStudent(
        8, dim=6, map_size=32, decoder_steps=[8, 15],
        attended_steps=[15], attention=attention, bottleneck=bottleneck, batch_norm=True,
        dropout=0.0,
    )  # fmt: skip
    assert student(torch.zeros(2, 3, 256, 256)).shape == (2, 6, 32, 32)
    blocks = [m for m in student.modules() if isinstance(m, SelfAttention)]
    assert len(blocks) == (3 if attention else 0)


def test_global_student_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match="needs 256x256 images, got \\(128, 128\\)"):
        GlobalStudent(dim=6, map_size=32, **SMALL_GLOBAL)(torch.zeros(1, 3, 128, 128))


def test_attention_equals_the_written_formula() -> None:
    torch.manual_seed(0)
    block, x = SelfAttention(4), torch.randn(2, 4, 3, 5)
    tokens = x.flatten(2).transpose(1, 2)
    weights = torch.softmax(block.query(tokens) @ block.key(tokens).transpose(1, 2) / 2.0, dim=-1)  # sqrt(4)
    expected = x + block.out(weights @ block.value(tokens)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.999])
def test_hard_loss_equals_the_sorted_quantile(quantile: float) -> None:
    generator = torch.Generator().manual_seed(1)
    teacher, student = (torch.randn(2, 3, 7, 5, generator=generator) for _ in range(2))
    squared = ((teacher - student) ** 2).flatten()
    expected = squared[squared >= torch.quantile(squared, quantile)].mean()
    torch.testing.assert_close(hard_feature_loss(teacher, student, quantile=quantile), expected)


def test_hard_loss_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        hard_feature_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 3, 2, 2), quantile=0.9)
    with pytest.raises(ValueError, match="quantile must be in"):
        hard_feature_loss(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), quantile=1.0)


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


def test_batches_cover_every_image_once_an_epoch_and_are_seeded() -> None:
    first = draw_batches(10, 4, torch.Generator().manual_seed(3))
    again = draw_batches(10, 4, torch.Generator().manual_seed(3))
    batches = [next(first) for _ in range(4)]
    assert all(torch.equal(batch, next(again)) for batch in batches)
    assert len(torch.cat(batches[:2]).unique()) == 8  # two batches of four, the rest of two is left out
    assert len(next(draw_batches(3, 8, torch.Generator()))) == 3


def test_combined_map_sends_the_quantiles_to_0_and_a_tenth() -> None:
    module = small_module(["local", "global"])
    cells = torch.arange(1024.0).view(1, 32, 32)
    validation = [{"local": cells, "global": 5 * cells}]
    calibrate(module, validation, quantiles=(0.0, 1.0))
    combined = module.combine(validation[0])
    assert combined.min() == pytest.approx(0.0)
    assert combined.max() == pytest.approx(0.2)  # a tenth of each of two maps


def test_a_constant_map_is_shifted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    module = small_module(["local"])
    calibrate(module, [{"local": torch.full((1, 32, 32), 3.0)}], quantiles=(0.9, 0.995))
    assert "map local is constant" in caplog.text
    assert module.combine({"local": torch.full((1, 32, 32), 3.5)})[0, 0, 0] == pytest.approx(0.5)


def test_score_is_the_mean_of_the_highest_cells() -> None:
    cells = torch.zeros(1, 32, 32)
    cells[0, 0, :4] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert float(small_module(["local"], pooled_cells=1).pool(cells)) == 4.0
    assert float(small_module(["local"], pooled_cells=4).pool(cells)) == 2.5


def test_rebuilt_module_is_the_same() -> None:
    module = small_module(["local", "global", "global_local"]).eval()
    again = rebuild(module.state_dict(), module.arguments)
    assert again.arguments == module.arguments
    for (name, tensor), (other, same) in zip(module.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        torch.testing.assert_close(tensor, same)


def test_table_of_scores_keeps_the_order_of_the_images() -> None:
    module = small_module(["local", "global"])
    module.map_range[1] = torch.tensor([1.0, 3.0])
    raw = [{"local": torch.full((1, 32, 32), v), "global": torch.full((1, 32, 32), 1.0)} for v in (2.0, 1.0)]
    scored = tabulate(module, pd.DataFrame({"image_id": ["b", "a"], "split": ["test", "test"]}), raw)
    np.testing.assert_allclose(scored.table["student_teacher_local"], [2.0, 1.0])
    np.testing.assert_allclose(scored.table["student_teacher"], [0.2, 0.1])
    assert scored.maps.shape == (2, 32, 32)
    assert scored.maps.dtype == np.float16
    np.testing.assert_allclose(scored.branches["local"][:, 0, 0], [0.2, 0.1], rtol=1e-3)
    np.testing.assert_allclose(scored.branches["global"], 0.0)  # its lower quantile is where the scale begins
