"""ONNX Runtime computes what torch computes, whatever the size, the batch and the threads; else torch does it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stages.core.encoder import encoder as encoder_module
from stages.core.encoder import engine as engine_module
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.engine import Engine, fingerprint_of_file, fingerprint_of_weights, relative_error
from stages.core.encoder.lite0_weights import LITE0

EQUAL = 1e-5  # of the largest value


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "FOLDER", tmp_path / "engines")
    monkeypatch.setattr(encoder_module, "FEATURES", tmp_path / "features")


def images(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(height))


def torchs(encoder: FrozenEncoder, pixels: Tensor) -> list[Tensor]:
    with torch.no_grad():
        features: list[Tensor] = encoder.body((pixels - encoder.mean) / encoder.std)
    return features


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 80), (75, 101)])  # an odd size pads otherwise
def test_features_equal_torchs(height: int, width: int) -> None:
    encoder = FrozenEncoder(LITE0)
    pixels = images(2, height, width)
    for ours, theirs in zip(encoder(pixels), torchs(encoder, pixels), strict=True):
        assert relative_error(ours.numpy(), theirs.numpy()) < EQUAL


def test_neither_threads_nor_company_change_a_bit() -> None:
    pixels, threads = images(3, 64, 64), torch.get_num_threads()
    together = FrozenEncoder(LITE0)(pixels)
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        alone = FrozenEncoder(LITE0)
        rows = [alone(image[None]) for image in pixels]
    finally:
        torch.set_num_threads(threads)
    for level, singles in zip(together, zip(*rows, strict=True), strict=True):
        assert torch.equal(level, torch.cat(singles))


def test_a_graph_is_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = FrozenEncoder(LITE0)(images(1, 64, 64))
    assert len(list((tmp_path / "engines").iterdir())) == 1
    monkeypatch.setattr(engine_module, "export", lambda *_, **__: pytest.fail("exported again"))
    assert all(torch.equal(a, b) for a, b in zip(first, FrozenEncoder(LITE0)(images(1, 64, 64)), strict=True))


def test_a_graph_is_of_float32_whatever_the_precision_around_it() -> None:
    pixels = images(1, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = FrozenEncoder(LITE0)(pixels)
    encoder = FrozenEncoder(LITE0)
    assert encoder.engine.session((64, 64)) is not None
    for ours, theirs in zip(mixed, torchs(encoder, pixels), strict=True):
        assert relative_error(ours.numpy(), theirs.numpy()) < EQUAL


def test_a_damaged_graph_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = FrozenEncoder(LITE0)(images(1, 64, 64))
    (path,) = (tmp_path / "engines").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    assert all(torch.equal(a, b) for a, b in zip(first, FrozenEncoder(LITE0)(images(1, 64, 64)), strict=True))
    assert "exporting" in caplog.text


class Unknown(nn.Module):
    """What it does to an image has no translation, or one that is frozen to what the example did."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.raises = raises

    def forward(self, image: Tensor) -> list[Tensor]:
        if self.raises:
            return [torch.linalg.matrix_exp(image[..., :4, :4])]
        return [image * float(image.std())]  # traced on zeros, it is 0 for all


@pytest.mark.parametrize("raises", [True, False])
def test_what_cannot_be_exported_runs_in_torch_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, raises: bool
) -> None:
    engine = Engine(lambda: Unknown(raises=raises), name="odd_network", fingerprint="0")
    assert engine.session((8, 8)) is None
    assert "odd_network runs in torch, since it cannot be exported" in caplog.text
    assert list((tmp_path / "engines").iterdir()) == []
    with pytest.raises(RuntimeError, match="odd_network has no graph"):
        engine.run(torch.zeros(1, 3, 8, 8))
    encoder = FrozenEncoder(LITE0)
    encoder.engine = engine
    pixels = images(1, 64, 64)
    engine.sessions[64, 64] = None
    assert all(torch.equal(a, b) for a, b in zip(encoder(pixels), torchs(encoder, pixels), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(encoder.recall(pixels), torchs(encoder, pixels), strict=True))


def test_an_image_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = images(2, 64, 64)
    first = FrozenEncoder(LITE0).recall(pixels)
    second = FrozenEncoder(LITE0)
    monkeypatch.setattr(second, "forward", lambda _: pytest.fail("encoded again"))
    assert all(torch.equal(a, b) for a, b in zip(first, second.recall(pixels), strict=True))


def test_networks_statistics_and_levels_have_features_of_their_own() -> None:
    pixels = images(1, 64, 64)
    whole = FrozenEncoder(LITE0)
    assert len(whole.recall(pixels)) == 3
    assert len(FrozenEncoder(LITE0, stages=[2]).recall(pixels)) == 1
    other = FrozenEncoder(LITE0)
    other.mean = other.mean + 0.1
    assert not torch.equal(other.recall(pixels)[0], whole.recall(pixels)[0])


def test_a_fingerprint_is_of_weights_and_name(tmp_path: Path) -> None:
    network, file = nn.Conv2d(3, 2, 1), tmp_path / "weights"
    file.write_bytes(b"one")
    found = [
        fingerprint_of_weights(network, name="a"), fingerprint_of_weights(network, name="b"),
        fingerprint_of_file(file, name="a"), fingerprint_of_file(file, name="b"),
    ]  # fmt: skip
    assert fingerprint_of_weights(network, name="a") == found[0]
    network.weight.data.mul_(1.01)
    file.write_bytes(b"two")
    found += [fingerprint_of_weights(network, name="a"), fingerprint_of_file(file, name="a")]
    assert len(set(found)) == 6


def test_the_embedded_network_needs_no_timm_once_it_is_exported() -> None:
    """It takes longer to import than a hundred images take to encode."""
    FrozenEncoder(LITE0)(images(1, 64, 64))
    code = (
        "import sys, torch\n"
        "from stages.core.encoder.encoder import FrozenEncoder\n"
        f"FrozenEncoder({LITE0!r})(torch.zeros(1, 3, 64, 64))\n"
        "print(sorted({'timm', 'torchvision', 'onnx'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "ODDPART_ENGINES": str(engine_module.FOLDER)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_building_the_network_draws_from_nobodys_random_numbers() -> None:
    """Else results would depend on whether a graph was at hand."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert FrozenEncoder(LITE0).body is not None
    assert torch.equal(torch.rand(3), expected)


def test_threads_that_ask_at_once_wait_for_one_export(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = []
    export = engine_module.export
    monkeypatch.setattr(engine_module, "export", lambda *given, **named: exported.append(1) or export(*given, **named))
    encoder, pixels = FrozenEncoder(LITE0), images(4, 64, 64)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(encoder, pixels.split(1)))
    assert len(exported) == 1
    for level, singles in zip(encoder(pixels), zip(*rows, strict=True), strict=True):
        assert torch.equal(level, torch.cat(singles))
