"""Graphs whose weights are stored in 16 bits."""

import numpy as np
import onnx

SMALL = 64  # numbers; fewer are not worth a node
LARGEST_HALF = float(np.finfo(np.float16).max)


def with_half_weights(graph: bytes) -> bytes:
    """Store weights in 16 bits; they are widened when the graph is opened, and computed with in 32.

    A CPU computes hardly anything in 16 bits: between two casts each operation takes longer. So only files are smaller.
    Weights beyond the range of 16 bits, and those of 64, stay as they are.
    """
    model = onnx.load_from_string(graph)
    casts = []
    for tensor in model.graph.initializer:
        if (half := halved(tensor)) is not None:
            name = tensor.name
            tensor.CopyFrom(half)
            tensor.name = f"{name}_half"
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        (attribute,) = node.attribute
        if attribute.type == onnx.AttributeProto.TENSOR and (half := halved(attribute.t)) is not None:
            name = node.output[0]
            attribute.t.CopyFrom(half)
            node.output[0] = f"{name}_half"
            place = list(model.graph.node).index(node)
            cast = onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(place + 1, cast)
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def halved(tensor: onnx.TensorProto) -> onnx.TensorProto | None:
    """Return a tensor of weights in 16 bits, None where it is small, of another type or out of range."""
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return None
    values = onnx.numpy_helper.to_array(tensor)
    if values.size < SMALL or not np.abs(values).max() <= LARGEST_HALF:
        return None
    return onnx.numpy_helper.from_array(values.astype(np.float16))
