"""Equalisation: channels that share a range of 8 bits get the same range, without a change of what is computed.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019; here the ranges are
measured. Where maps reach the next convolution by sums and ReLU alone, channel c can be divided by s_c if weights that
read it are multiplied by s_c. Outputs of the graph are multiplied by s_c at the end.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from jaxtyping import Float32

from stages.export.convolutions import Network, Values, attribute

LINEAR = ("Add", "Relu")  # f(x / s) = f(x) / s for s > 0, channel by channel
SMALLEST = 1e-4  # of the largest channel's range: a dead channel is not blown up to the range of the others
Ranges = Mapping[str, Float32[np.ndarray, " C"]]


def equalise(network: Network, rows: Sequence[Values]) -> None:
    """Divide each channel by its largest absolute value in `rows`, in place.

    Args:
        network: whose tensors are changed.
        rows: inputs for some training images.
    """
    groups = groups_of(network)
    ranges = ranges_of(network, rows, [name for group in groups for name in group])
    for group in groups:
        if all(name in ranges for name in group) and len({len(ranges[name]) for name in group}) == 1:
            stored = [name for name in group if {one.op_type for one in network.readers[name]} != {"Relu"}]
            largest = np.max([ranges[name] for name in stored], axis=0)
            if largest.max() > 0:
                divide(network, group, np.maximum(largest, SMALLEST * largest.max()))


def ranges_of(network: Network, rows: Sequence[Values], names: Sequence[str]) -> Ranges:
    """Return the largest absolute value of each channel."""
    found: dict[str, Float32[np.ndarray, " C"]] = {}
    for values in network.observe(rows, names):
        for name, value in values.items():
            largest = np.abs(value).max(axis=(0, 2, 3))
            found[name] = np.maximum(found.get(name, largest), largest)
    return found


def groups_of(network: Network) -> list[list[str]]:
    """Return tensors that can be divided together: made by convolutions, joined by LINEAR, read by convolutions."""
    leader: dict[str, str] = {one.output[0]: one.output[0] for one in network.convolutions}
    for node in network.model.graph.node:
        if node.op_type in LINEAR:
            names = {leader.get(name, name) for name in (*node.input, node.output[0])}
            first = min(names)
            leader |= {name: first for name, old in leader.items() if old in names}
            leader |= dict.fromkeys((*node.input, node.output[0]), first)
    groups = defaultdict(list)
    for name, first in leader.items():
        groups[first].append(name)
    return [group for group in groups.values() if can_be_divided(network, set(group))]


def can_be_divided(network: Network, group: set[str]) -> bool:
    """Return whether nothing makes or reads the tensors but convolutions and LINEAR operations among them."""
    convolutions = {one.name for one in network.convolutions}
    for name in group:
        producer = network.producers.get(name)
        if producer is None or not (producer.name in convolutions or producer.op_type in LINEAR):
            return False
        for reader in network.readers[name]:
            inside = reader.op_type in LINEAR and reader.output[0] in group
            if not inside and not (reader.name in convolutions and reader.input[0] == name):
                return False
    return any(reader.name in convolutions for name in group for reader in network.readers[name])


def divide(network: Network, group: Sequence[str], scale: Float32[np.ndarray, " C"]) -> None:
    """Divide the channels of a group's tensors, in place; the graph's outputs stay as they were."""
    for name in group:
        producer = network.producers[name]
        if producer.op_type == "Conv":
            network.change(producer.input[1], network.weights(producer.input[1]) / scale[:, None, None, None])
            if len(producer.input) > 2:
                network.change(producer.input[2], network.weights(producer.input[2]) / scale)
        for reader in network.readers[name]:
            if reader.op_type == "Conv":
                grouped = attribute(reader, "group", [1]) != [1]
                factors = scale[:, None, None, None] if grouped else scale[None, :, None, None]
                network.change(reader.input[1], network.weights(reader.input[1]) * factors)
    for name in network.results & set(group):
        multiply_output(network, name, scale)


def multiply_output(network: Network, name: str, scale: Float32[np.ndarray, " C"]) -> None:
    """Rename a tensor inside the graph, and compute the output of its old name by the scale, in place."""
    inner = f"{name}_divided"
    for reader in network.readers[name]:
        reader.input[:] = [inner if one == name else one for one in reader.input]
    producer = network.producers.pop(name)
    producer.output[:] = [inner if one == name else one for one in producer.output]
    constant = network.add(f"{name}_scale", scale[None, :, None, None])
    node = onnx.helper.make_node("Mul", [inner, constant], [name], name=f"{name}_multiplied")
    network.model.graph.node.append(node)
    network.producers |= {inner: producer, name: network.model.graph.node[-1]}
    network.readers[inner], network.readers[name] = network.readers.pop(name), []
