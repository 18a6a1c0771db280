"""Networks in 8 bits: close to those in 32 bits, and by what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import quantize_static
from torch import Tensor, nn

from stages.core.encoder.encoder import FrozenEncoder, load_stack, to_float
from stages.core.encoder.engine import write_graph
from stages.core.io.tables import read_images
from stages.core.runtime.graphs import BranchGraph
from stages.export import eight_bits
from stages.export.convolutions import Network, Values
from stages.export.eight_bits import LARGEST_ERROR, error, outputs_of, quantised
from stages.export.equalisation import equalise
from stages.export.rounding import Moments, rounded
from tests.unit.commands.predict.case import INPUTS
from tests.unit.export.conftest import Exported

SIDE, SIZE = 32, 128


class Block(nn.Module):
    """A block as EfficientNet-Lite has them, with channels and filters that differ by a hundred."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.narrow = nn.Conv2d(8, 6, 1)
        self.wide = nn.Conv2d(6, 8, 1)
        self.back = nn.Conv2d(8, 6, 1)
        self.end = nn.Conv2d(6, 4, 1)
        with torch.no_grad():
            self.narrow.weight *= 10.0 ** torch.linspace(-1, 1, 6)[:, None, None, None]
            self.wide.weight *= 10.0 ** -torch.linspace(-1, 1, 6)[None, :, None, None]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        narrow = self.narrow(nn.functional.relu6(self.depthwise(nn.functional.relu6(self.stem(image)))))
        inner = narrow + self.back(nn.functional.relu6(self.wide(narrow)))
        return inner, self.end(inner)


def draw(count: int, *, seed: int) -> list[Values]:
    """Return bright, smooth images with a little grain."""
    random = np.random.default_rng(seed)
    row, column = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    found: list[Values] = []
    for _ in range(count):
        waves = random.uniform(0.05, 0.3, (3, 2, 1, 1))
        image = 1 + np.sin(waves[:, 0] * row + random.uniform(0, 6)) * np.cos(waves[:, 1] * column)
        found.append({"image": (image + random.normal(0, 0.02, image.shape))[None].astype(np.float32)})
    return found


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("block") / "block.onnx"
    write_graph(Block().eval(), path, {"image": torch.zeros(1, 3, SIDE, SIDE)}, ("inner", "end"))
    return path.read_bytes()


@dataclass(frozen=True)
class Encoder:
    """The frozen network with pictures that decide about ranges, and others."""

    graph: bytes
    rows: Sequence[Values]
    unseen: Sequence[Values]

    def error(self) -> float:
        """Return how far the features of the other pictures are off in 8 bits."""
        small = quantised(self.graph, self.rows)
        return error(outputs_of(small, self.unseen), outputs_of(self.graph, self.unseen))


@pytest.fixture(scope="module")
def encoder(exported: Exported) -> Encoder:
    """Of 128 pixels, which take a quarter of the time of 256."""
    folder, network = exported.root / INPUTS, FrozenEncoder("tf_efficientnet_lite0")
    images = read_images(folder)
    files = images[images["split"] == "train"].sort_values("image_id")["file"].to_list()
    pictures = to_float(load_stack(folder / "images", files[:10], size=SIZE))
    rows = [{"image": network.normalise(one).contiguous().numpy()} for one in pictures.split(1)]
    return Encoder(network.engine.graph((SIZE, SIZE)), rows[:8], rows[8:])


def test_features_are_those_in_32_bits(encoder: Encoder) -> None:
    """The bound is above LARGEST_ERROR, which was kept in other pictures."""
    assert encoder.error() <= 1.5 * LARGEST_ERROR


def without_activations(patch: pytest.MonkeyPatch) -> None:
    """Let values be stored with their range before ReLU6."""
    patch.setattr(eight_bits, "QUANTISED", ("Conv", "Add"))


def with_a_step_for_all_filters(patch: pytest.MonkeyPatch) -> None:
    """Round all filters of a convolution by the step of the largest."""

    def quantize(*paths: object, **settings: object) -> None:
        quantize_static(*paths, **{**settings, "per_channel": False})

    patch.setattr(eight_bits, "quantize_static", quantize)
    patch.setattr(eight_bits, "round_weights", lambda network, rows: {})


def with_plain_rounding(patch: pytest.MonkeyPatch) -> None:
    """Round each weight by itself."""
    patch.setattr(eight_bits, "round_weights", lambda network, rows: {})


def with_all_first_layers(patch: pytest.MonkeyPatch) -> None:
    """Quantise the first layers as all others."""
    patch.setattr(eight_bits, "FIRST", (0,))


@pytest.mark.parametrize(
    "change", [without_activations, with_a_step_for_all_filters, with_plain_rounding, with_all_first_layers]
)
def test_each_measure_is_needed(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    monkeypatch.setattr(eight_bits, "FIRST", (2,))
    change(monkeypatch)
    assert encoder.error() > 1.5 * LARGEST_ERROR


def test_equal_channels_compute_the_same(block: bytes) -> None:
    rows = draw(4, seed=0)
    network = Network(block)
    equalise(network, rows)
    ours, theirs = outputs_of(network.content(), rows), outputs_of(block, rows)
    for one, other in zip(ours, theirs, strict=True):
        for name, values in other.items():
            np.testing.assert_allclose(one[name], values, rtol=1e-4, atol=1e-4 * np.abs(values).max())
    narrow = network.producers["inner_divided"].input[0]
    largest = np.max([np.abs(one[narrow]).max(axis=(0, 2, 3)) for one in network.observe(rows, [narrow])], axis=0)
    assert largest.max() <= 1.0001
    assert largest.min() > 0.1


def test_what_follows_takes_up_what_was_rounded_off() -> None:
    """Of inputs that are always equal only the sum of the weights counts: 0.4 + 0.4 is rounded to 0 + 1, not 0 + 0."""
    moments = Moments(4, np.zeros((1, 2)), np.array([[[4.0, 4.0], [4.0, 4.0]]]))
    np.testing.assert_array_equal(rounded(np.array([[[0.4, 0.4]]]), np.array([[1.0]]), moments), [[[0.0, 1.0]]])
    apart = Moments(4, np.zeros((1, 2)), np.array([[[4.0, 0.0], [0.0, 4.0]]]))
    np.testing.assert_array_equal(rounded(np.array([[[0.4, 0.4]]]), np.array([[1.0]]), apart), [[[0.0, 0.0]]])


def test_the_first_layers_stay_in_32_bits_where_features_need_it(block: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw(16, seed=0)
    monkeypatch.setattr(eight_bits, "FIRST", (0, 2))
    counts = []
    for limit in (1.0, 1e-9):
        monkeypatch.setattr(eight_bits, "LARGEST_ERROR", limit)
        model = Network(quantised(block, rows)).model
        kinds = [numpy_helper.to_array(one).dtype for one in model.graph.initializer if len(one.dims) == 4]
        counts.append(kinds.count(np.dtype(np.int8)))
    assert counts == [5, 3]


def test_classes_are_counted_and_maps_compared_with_how_they_vary() -> None:
    before = [{"map": np.array([[0.0, 2.0]]), "labels": np.array([[1, 1, 1, 2]]), "score": np.array([3.0])}]
    after = [{"map": np.array([[0.1, 2.1]]), "labels": np.array([[1, 1, 1, 1]]), "score": np.array([9.0])}]
    assert error(after, before) == pytest.approx(0.25)
    assert error([{**before[0], "map": after[0]["map"]}], before) == pytest.approx(0.1)


def test_a_quantised_graph_runs_as_any_other(block: bytes, tmp_path: Path) -> None:
    (tmp_path / "block.onnx").write_bytes(quantised(block, draw(1, seed=0)))
    opened = BranchGraph((tmp_path / "block.onnx").read_bytes(), threads=1)
    assert opened(draw(1, seed=0)[0])["end"].shape == (1, 4, SIDE, SIDE)
