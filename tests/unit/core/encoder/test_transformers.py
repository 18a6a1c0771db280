"""Encoders beyond convolutional networks: vision transformers' token grids, local weights, and what is refused.

Networks are timm's own, three blocks deep, with random weights in local files: nothing is downloaded.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from stages.core.encoder import encoder as encoders
from stages.core.encoder import engine
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError
from stages.core.run.network import Network

BLOCKS = (0, 1, 2)
CREATE = timm.create_model


@pytest.fixture(autouse=True)
def _shallow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Networks of three blocks, graphs and features in a folder of the test."""

    def create(name: str, **options: Any) -> Any:
        depth = {"depth": 3} if name.startswith("vit_") else {}
        return CREATE(name, **{**depth, **options})

    monkeypatch.setattr("timm.create_model", create)
    monkeypatch.setattr(engine, "FOLDER", tmp_path / "engines")
    monkeypatch.setattr(encoders, "FEATURES", tmp_path / "features")


def write_weights(folder: Path, name: str, *, suffix: str = ".safetensors") -> Network:
    """Write random weights in timm's layout and return the network that reads them."""
    torch.manual_seed(1)
    state = {key: values.contiguous() for key, values in timm.create_model(name, pretrained=False).state_dict().items()}
    path = folder / f"{name}{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    return Network(name, None, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def with_blocks(network: Network, blocks: tuple[int, ...] = BLOCKS) -> str:
    return str(Network(network.name, blocks, network.weights, network.sha256))


def images(side: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def timms_own(network: Network, encoder: FrozenEncoder, pixels: Tensor) -> list[Tensor]:
    """What timm returns for normalised images whose sides are multiples of the patch's."""
    assert network.weights is not None
    model = timm.create_model(network.name, pretrained=False, dynamic_img_size=True).eval()
    model.load_state_dict(timm.models.load_state_dict(network.weights))
    with torch.no_grad():
        maps: list[Tensor] = model.forward_intermediates(
            (pixels - encoder.mean) / encoder.std, indices=list(BLOCKS), norm=True, intermediates_only=True
        )
    return maps


@pytest.mark.parametrize(
    ("name", "side", "cells", "suffix"),
    [
        ("vit_tiny_patch16_224", 64, 4, ".safetensors"),  # a class token; published as .npz, which a file replaces
        ("vit_small_patch14_reg4_dinov2", 56, 4, ".pth"),  # four registers, too; positions for 518 px
        ("vit_tiny_patch16_dinov3_qkvb", 96, 6, ".safetensors"),  # rotary positions
    ],
)
def test_grids_are_timms_intermediates(
    tmp_path: Path, name: str, side: int, cells: int, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    network = write_weights(tmp_path, name, suffix=suffix)
    encoder = FrozenEncoder(with_blocks(network))
    pixels = images(side)
    found = encoder(pixels)
    wanted = timms_own(network, encoder, pixels)
    assert [tuple(one.shape) for one in found] == [(2, encoder.channels[0], cells, cells)] * 3
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert encoder.engine.session((side, side)) is not None, caplog.text  # in ONNX Runtime, so bundles can be exported
    assert all(torch.equal(a, b) for a, b in zip(found, encoder.recall(pixels), strict=True))


def test_an_image_is_enlarged_to_whole_patches(tmp_path: Path) -> None:
    network = write_weights(tmp_path, "vit_small_patch14_reg4_dinov2")
    encoder = FrozenEncoder(with_blocks(network))
    pixels = images(60, 1)
    enlarged = torch.nn.functional.interpolate(pixels, (70, 70), mode="bilinear")
    assert encoder.engine.session((60, 60)) is not None
    found = encoder(pixels)
    assert found[0].shape[-2:] == (5, 5)
    for ours, theirs in zip(found, timms_own(network, encoder, enlarged), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_tiny_patch16_dinov3_qkvb"])
def test_oblong_images_run_in_a_graph_too(tmp_path: Path, name: str) -> None:
    network = write_weights(tmp_path, name)
    encoder = FrozenEncoder(with_blocks(network))
    pixels = images(96, 1)[..., :48]
    assert encoder.engine.session((96, 48)) is not None
    found = encoder(pixels)
    assert [tuple(one.shape[-2:]) for one in found] == [(6, 3)] * 3
    for ours, theirs in zip(found, timms_own(network, encoder, pixels), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_what_follows_the_last_block_is_not_computed(tmp_path: Path) -> None:
    network = write_weights(tmp_path, "vit_tiny_patch16_224")
    encoder = FrozenEncoder(with_blocks(network), strides=[8])
    assert (encoder.stages, len(encoder.body.model.blocks)) == ((1,), 2)  # type: ignore[union-attr, arg-type]
    assert len(encoder(images(32))) == 1
    assert FrozenEncoder(with_blocks(network), strides=[32]).stages == (2,)


def test_a_pyramid_whose_first_stage_has_stride_4(tmp_path: Path) -> None:
    """ConvNeXt, of which DINOv3 has weights, too: its numbers differ from those of ResNets and EfficientNets."""
    network = write_weights(tmp_path, "convnext_atto")
    encoder = FrozenEncoder(str(network))
    assert encoder.stages == (0, 1, 2)
    assert [one.shape[-1] for one in encoder(images(64))] == [16, 8, 4]
    assert FrozenEncoder(str(network), strides=[32]).stages == (3,)
    body = timm.create_model("convnext_atto", features_only=True, out_indices=BLOCKS).eval()
    state = timm.models.load_state_dict(network.weights)
    body.load_state_dict({key.replace("stages.", "stages_").replace("stem.", "stem_"): v for key, v in state.items()},
                         strict=False)  # fmt: skip
    with torch.no_grad():
        wanted = body((images(64) - encoder.mean) / encoder.std)
    for ours, theirs in zip(encoder(images(64)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "blocks", "message"),
    [
        ("vit_tiny_patch16_224", None, r"the 3 blocks of \S+ all have .* encoder\.out_indices: \[0, 1, 2\]"),
        ("vit_tiny_patch16_224", (0, 1, 3), r"\[0, 1, 3\] are no increasing numbers of blocks .* 0 to 2"),
        ("vit_tiny_patch16_224", (0, 2, 1), r"\[0, 2, 1\] are no increasing numbers"),
        ("resnet10t", (0, 1, 2), r"of strides \[2, 4, 8\], needed are \[4, 8, 16\]: write null"),
        ("levit_128s", None, r"levit_128s has stages at strides \(16, 32, 64\), needed"),
        ("swin_tiny_patch4_window7_224", None, r"does not take images of 128 px"),
        ("beit_base_patch16_224", BLOCKS, r"beit_base_patch16_224 takes images of one size only"),
    ],
)
def test_networks_and_layers_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, blocks: tuple[int, ...] | None, message: str
) -> None:
    create = timm.create_model

    def untrained(name: str, *, pretrained: bool = False, pretrained_cfg_overlay: object = None, **options: Any) -> Any:
        return create(name, **options)

    monkeypatch.setattr("timm.create_model", untrained)
    with pytest.raises(UserError, match=message):
        FrozenEncoder(str(Network(name, blocks)))


def test_a_file_of_weights_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    network = write_weights(tmp_path, "vit_tiny_patch16_224")
    assert network.weights is not None

    def refused(message: str, **changed: str) -> None:
        facts = {"weights": network.weights, "sha256": network.sha256, **changed}
        with pytest.raises(UserError, match=message):
            FrozenEncoder(str(Network(network.name, BLOCKS, **facts)))

    refused("there is no file nowhere.pth: put the weights", weights="nowhere.pth")
    refused(rf"sha256 of \S+ is {network.sha256}, not 00", sha256="0" * 64)
    state = timm.models.load_state_dict(network.weights)
    partial = tmp_path / "partial.safetensors"
    save_file({key: values for key, values in state.items() if key != "blocks.1.norm1.weight"}, partial)
    refused(r"1 of \d+ tensors are missing .*, blocks\.1\.norm1\.weight first",
            weights=str(partial), sha256=hashlib.sha256(partial.read_bytes()).hexdigest())  # fmt: skip
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no weights")
    refused("damaged.safetensors cannot be read",
            weights=str(damaged), sha256=hashlib.sha256(damaged.read_bytes()).hexdigest())  # fmt: skip
    headless = tmp_path / "headless.safetensors"
    save_file({key: values for key, values in state.items() if not key.startswith("head.")}, headless)
    sha256 = hashlib.sha256(headless.read_bytes()).hexdigest()
    same = FrozenEncoder(str(Network(network.name, BLOCKS, str(headless), sha256)))
    whole = FrozenEncoder(with_blocks(network))
    assert all(torch.equal(a, b) for a, b in zip(same(images(32)), whole(images(32)), strict=True))


def test_a_network_is_one_text() -> None:
    whole = Network("vit_tiny_patch16_224.x", (1, 2, 3), "my weights/é&.pth", "ab")
    assert Network.parse(str(whole)) == whole
    assert str(Network("resnet18")) == "resnet18" == str(Network.parse("resnet18"))
    for damaged in ("resnet18?layers=1", "resnet18?out_indices=a", "resnet18?weights"):
        with pytest.raises(UserError, match="names no network"):
            Network.parse(damaged)
