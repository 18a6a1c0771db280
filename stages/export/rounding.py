"""Weights in 8 bits, rounded so that a convolution computes what it did, rather than each to the nearest step.

Frantar et al., "GPTQ", ICLR 2023: weights are rounded one after the other, and those that follow take up the error,
by how the inputs of training images go together. Rounded by itself, a filter that takes differences (the first
depthwise convolution of EfficientNet-Lite does) no longer sums to zero, and the brightness leaks into its output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from onnx import NodeProto

from stages.export.convolutions import Network, Values, attribute

PLACES = 256  # of each image, at which the inputs of a convolution are looked at
DAMPING = 0.01  # of the mean variance of inputs, added to each
MOST_INPUTS = 2304  # numbers that a filter reads, above which it is rounded plainly: the matrix is of their square
STEPS = 127  # of 8 bits on each side of zero


@dataclass
class Moments:
    """Sums over the inputs of a convolution's filters, for each of its G groups of D numbers.

    Attributes:
        count: of places.
        total: of the inputs.
        squares: of their products in pairs.
    """

    count: int
    total: Float64[np.ndarray, "G D"]
    squares: Float64[np.ndarray, "G D D"]


@dataclass(frozen=True)
class Rounded:
    """Weights of a convolution in whole steps.

    Attributes:
        weights: of its K filters.
        step: of each filter.
        bias: None for a convolution without one.
    """

    weights: Float32[np.ndarray, "K c h w"]
    step: Float32[np.ndarray, " K"]
    bias: Float32[np.ndarray, " K"] | None


def round_weights(network: Network, rows: Sequence[Values]) -> dict[str, Rounded]:
    """Round the weights of each convolution, and let its bias take up what changes on average.

    Args:
        network: stays as it is.
        rows: inputs for some training images.

    Returns:
        By name of the convolution. One whose weights are large, or those of several, is not among them: its weights
        are rounded to the nearest step.
    """
    names = [one.input[1] for one in network.convolutions]
    layers = [
        one
        for one in network.convolutions
        if names.count(one.input[1]) == 1 and network.weights(one.input[1])[0].size <= MOST_INPUTS
    ]
    moments = moments_of(network, rows, layers)
    return {one.name: rounded_layer(network, one, moments[one.name]) for one in layers if one.name in moments}


def rounded_layer(network: Network, layer: NodeProto, moments: Moments) -> Rounded:
    """Round the weights of a convolution by the moments of its inputs."""
    weights = network.weights(layer.input[1])
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    step = np.maximum(largest / STEPS, np.finfo(np.float32).tiny)
    groups = attribute(layer, "group", [1])[0]
    before = weights.reshape(groups, len(weights) // groups, -1).astype(np.float64)
    after = rounded(before, step.reshape(groups, -1).astype(np.float64), moments)
    shift = np.einsum("gkd,gd->gk", before - after, moments.total / moments.count).reshape(-1)
    bias = network.weights(layer.input[2]) + shift if len(layer.input) > 2 else None
    return Rounded(after.reshape(weights.shape), step.astype(np.float32), bias)


def moments_of(network: Network, rows: Sequence[Values], layers: Sequence[NodeProto]) -> Mapping[str, Moments]:
    """Return the moments of the inputs of each convolution, at places drawn from the images."""
    draw = np.random.default_rng(0)
    found: dict[str, Moments] = {}
    for values in network.observe(rows, [layer.input[0] for layer in layers]):
        for layer in layers:
            if layer.input[0] not in values:
                continue
            seen = filter_inputs(values[layer.input[0]][0], layer, network.weights(layer.input[1]).shape, draw)
            total, squares = seen.sum(axis=1, dtype=np.float64), (seen.transpose(0, 2, 1) @ seen).astype(np.float64)
            if layer.name in found:
                one = found[layer.name]
                one.count, one.total, one.squares = one.count + seen.shape[1], one.total + total, one.squares + squares
            else:
                found[layer.name] = Moments(seen.shape[1], total, squares)
    return found


def filter_inputs(
    values: Float32[np.ndarray, "C H W"], layer: NodeProto, shape: Sequence[int], draw: np.random.Generator
) -> Float32[np.ndarray, "G P D"]:
    """Return what the filters of each group read at P places, with zeros beyond the border.

    Args:
        values: input of the layer for one image.
        layer: the convolution.
        shape: of its weights.
        draw: of the places.
    """
    kernel = np.array(shape[2:])
    groups = attribute(layer, "group", [1])[0]
    stride, dilation = (np.array(attribute(layer, name, [1, 1])) for name in ("strides", "dilations"))
    top, left, bottom, right = attribute(layer, "pads", [0, 0, 0, 0])
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right)))
    height, width = (np.array(padded.shape[1:]) - dilation * (kernel - 1) - 1) // stride + 1
    places = draw.choice(height * width, size=min(PLACES, height * width), replace=False)
    row = (places // width * stride[0])[:, None, None] + (dilation[0] * np.arange(kernel[0]))[None, :, None]
    column = (places % width * stride[1])[:, None, None] + (dilation[1] * np.arange(kernel[1]))[None, None, :]
    read = padded[:, row, column]
    channels = len(values) // groups
    return read.reshape(groups, channels, len(places), -1).transpose(0, 2, 1, 3).reshape(groups, len(places), -1)


def rounded(
    weights: Float64[np.ndarray, "G K D"], step: Float64[np.ndarray, "G K"], moments: Moments
) -> Float64[np.ndarray, "G K D"]:
    """Round to whole steps; of each error, the weights that follow take up what their inputs can.

    Args:
        weights: of K filters in each group.
        step: of each filter.
        moments: of the inputs; what their mean makes is left to the bias.
    """
    mean = moments.total / moments.count
    variance = moments.squares / moments.count - mean[:, :, None] * mean[:, None, :]
    size = variance.shape[1]
    own = np.einsum("gdd->g", variance) / size
    variance += (DAMPING * own + np.finfo(np.float32).tiny)[:, None, None] * np.eye(size)
    upper = np.linalg.cholesky(np.linalg.inv(variance)).transpose(0, 2, 1)
    rest, result = weights.copy(), np.empty_like(weights)
    for place in range(size):
        now = rest[:, :, place]
        result[:, :, place] = np.clip(np.round(now / step), -STEPS, STEPS) * step
        error = (now - result[:, :, place]) / upper[:, place, place][:, None]
        rest[:, :, place + 1 :] -= error[:, :, None] * upper[:, None, place, place + 1 :]
    return result
