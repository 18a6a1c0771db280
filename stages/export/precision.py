"""Graphs in lower precision: weights in 16 bits, or networks in 8 bits by values that training images lead to."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

Values = Mapping[str, np.ndarray]
SMALL = 64  # numbers; fewer are not worth a node
LARGEST_HALF = float(np.finfo(np.float16).max)
QUANTISED = ("Conv", "Gemm", "MatMul")


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


class Rows(CalibrationDataReader):  # type: ignore[misc]
    """Inputs of a graph, one image after the other."""

    def __init__(self, rows: Sequence[Values]) -> None:
        """Begin with the first."""
        self.rows = iter(rows)

    def get_next(self) -> Values | None:
        """Return the next ones; None after the last."""
        return next(self.rows, None)


def quantised(graph: bytes, rows: Sequence[Values]) -> bytes:
    """Quantise convolutions and matrix products to 8 bits: weights by channel, values by the range that rows lead to.

    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
    2018, after training, as `onnxruntime.quantization.quantize_static` does it.

    Args:
        graph: in 32 bits.
        rows: its inputs for some training images.
    """
    with TemporaryDirectory() as folder, quiet():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(graph)
        quantize_static(
            before, after, Rows(rows), quant_format=QuantFormat.QDQ, op_types_to_quantize=list(QUANTISED),
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        return after.read_bytes()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the quantiser's advice out of the log; it is for people who choose its settings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
