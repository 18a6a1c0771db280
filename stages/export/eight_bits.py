"""Networks in 8 bits, which a CPU with instructions for them computes in less time, with ranges by training images.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018,
after training, as `onnxruntime.quantization` does it. What keeps features close to those in 32 bits:

- activation functions are quantised with the convolutions before them: 256 steps cover the 0 to 6 of ReLU6, not the
  many times larger range before it;
- each filter has its own step (`per_channel`);
- channels are made equal (`equalisation`) and weights rounded by what they read (`rounding`);
- the first layers, whose rounding all others magnify, and the last ones stay in 32 bits.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from stages.core.runtime.graphs import BranchGraph
from stages.export.convolutions import WEIGHTED, Network, Values
from stages.export.equalisation import equalise
from stages.export.rounding import Rounded, round_weights

QUANTISED = (*WEIGHTED, "Clip", "Relu", "Add")
LARGEST_ERROR = 0.04  # of a graph's maps in training images, as a share of how much their cells differ
FIRST = (0, 2, 4, 8, 12, 16, 24)  # numbers of first layers that may stay in 32 bits, tried in this order
EVERY = 8  # of the images, one is measured by and one decides about ranges while the number is looked for


class Rows(CalibrationDataReader):  # type: ignore[misc]
    """Inputs of a graph, one image after the other."""

    def __init__(self, rows: Sequence[Values]) -> None:
        """Begin with the first."""
        self.rows = iter(rows)

    def get_next(self) -> Values | None:
        """Return the next ones; None after the last."""
        return next(self.rows, None)


def quantised(graph: bytes, rows: Sequence[Values]) -> bytes:
    """Quantise a network; as few of the first layers stay in 32 bits as an error of LARGEST_ERROR allows.

    Args:
        graph: in 32 bits.
        rows: its inputs for some training images.
    """
    network = Network(graph)
    equalise(network, rows)
    weights = round_weights(network, rows)
    return written(network, weights, rows, first=first_layers(graph, network, weights, rows))


def first_layers(graph: bytes, network: Network, weights: Mapping[str, Rounded], rows: Sequence[Values]) -> int:
    """Return how many of the first layers stay in 32 bits; where no number is enough, the largest of FIRST."""
    measured, ranged = rows[::EVERY], rows[1::EVERY] or rows
    expected = outputs_of(graph, measured)
    numbers = [first for first in FIRST if first < max(1, len(network.layers))]
    for first in numbers:
        if error(outputs_of(written(network, weights, ranged, first=first), measured), expected) <= LARGEST_ERROR:
            return first
    return numbers[-1]


def outputs_of(graph: bytes, rows: Sequence[Values]) -> list[dict[str, np.ndarray]]:
    """Compute a graph's outputs for each image."""
    opened = BranchGraph(graph, threads=1)
    return [opened(row) for row in rows]


def error(ours: Sequence[Values], theirs: Sequence[Values]) -> float:
    """Return the largest error of an output: how often classes differ; of maps, as a share of how much cells differ."""
    found = [0.0]
    for name, first in theirs[0].items():
        one, other = (np.stack([row[name] for row in rows]) for rows in (ours, theirs))
        if np.issubdtype(first.dtype, np.integer):
            found.append(float((one != other).mean()))
        elif first.ndim > 1:
            variance = max(float(other.var(axis=(0, -2, -1)).mean()), float(np.finfo(np.float32).tiny))
            found.append(float(np.sqrt(np.square(one - other).mean() / variance)))
    return max(found)


def written(network: Network, weights: Mapping[str, Rounded], rows: Sequence[Values], *, first: int) -> bytes:
    """Quantise all but the first and the last layers.

    Args:
        network: in 32 bits.
        weights: rounded, by layer.
        rows: inputs that decide about the ranges of values.
        first: how many layers at the beginning stay in 32 bits.
    """
    kept = network.last | before(network, first)
    copy = network.copied()
    steps: dict[str, Any] = {}
    for layer in copy.convolutions:
        if layer.name in weights and layer.name not in kept:
            one = weights[layer.name]
            copy.change(layer.input[1], one.weights)
            if one.bias is not None:
                copy.change(layer.input[2], one.bias)
            steps[layer.input[1]] = [{"quant_type": QuantType.QInt8, "scale": step, "zero_point": np.int8(0)}
                                     for step in one.step]  # fmt: skip
            steps[layer.input[1]][0]["axis"] = 0
    with TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        source.write_bytes(copy.content())
        quantize_static(
            source, target, Rows(rows), quant_format=QuantFormat.QDQ, op_types_to_quantize=list(QUANTISED),
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=sorted(kept),
            extra_options={"TensorQuantOverrides": steps, "MatMulConstBOnly": True},
        )  # fmt: skip
        return target.read_bytes()


def before(network: Network, first: int) -> set[str]:
    """Return the names of all nodes before a layer of that number, counted from 0."""
    layers, names = [one.name for one in network.layers], [one.name for one in network.model.graph.node]
    return set(names if first >= len(layers) else names[: names.index(layers[first])])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the quantiser's advice out of the log; it is for people who choose its settings."""
    earlier = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(earlier)
