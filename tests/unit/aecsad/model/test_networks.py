"""The students' networks: receptive fields, sizes, and attention as it is written."""

import pytest
import torch
import torch.nn.functional as F

from stages.aecsad.model.networks import GlobalStudent, LocalStudent, SelfAttention, StemStudent, resize
from stages.core.encoder.encoder import FrozenEncoder
from tests.unit.aecsad.students import SMALL_GLOBAL


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
def test_local_student_has_one_cell_per_stride(stride: int, map_size: int) -> None:
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


def test_a_dead_stem_channel_leaves_the_student_finite() -> None:
    torch.manual_seed(0)
    stem = torch.randn(4, 3, 16, 16)
    stem[:, 0] = 5.0
    assert StemStudent(4, channels=3, dim=2, map_size=8)(stem).isfinite().all()


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


def test_resizing_to_the_same_size_copies_nothing_and_changes_nothing() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert resize(x, 8) is x
    assert torch.equal(F.interpolate(x, (8, 8), mode="bilinear"), x)
    torch.testing.assert_close(resize(x, 4), F.avg_pool2d(x, 2))  # halfway between the cells: the mean of four
