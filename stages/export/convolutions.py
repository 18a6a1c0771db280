"""Convolutions of a graph: what they read and what reads them, with weights that may be changed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from jaxtyping import Float32
from onnx import NodeProto, numpy_helper

from stages.core.runtime.graphs import open_session

Values = Mapping[str, np.ndarray]
WEIGHTED = ("Conv", "Gemm", "MatMul")
MAPS = 4  # axes of a tensor of maps: image, channel, row, column


class Network:
    """A graph whose constants are folded and whose weights can be read and written by name.

    Attributes:
        model: of ONNX.
        producers: the node that computes a tensor.
        readers: the nodes that read it.
        results: names of the graph's outputs.
    """

    def __init__(self, graph: bytes) -> None:
        """Fold constants, and padding into the convolutions that follow it."""
        self.model = folded(graph)
        self._tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.results = {one.name for one in self.model.graph.output}
        self.producers: dict[str, NodeProto] = {}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.model.graph.node:
            self.producers |= dict.fromkeys(node.output, node)
            for name in node.input:
                self.readers[name].append(node)

    @property
    def convolutions(self) -> list[NodeProto]:
        """Those with constant weights, from the input to the outputs."""
        return [one for one in self.model.graph.node if one.op_type == "Conv" and one.input[1] in self._tensors]

    @property
    def layers(self) -> list[NodeProto]:
        """All that multiply by constant weights, from the input to the outputs."""
        return [one for one in self.model.graph.node if one.op_type in WEIGHTED and one.input[1] in self._tensors]

    @property
    def last(self) -> set[str]:
        """Names of nodes whose results reach no further layer."""
        layers, reaching = {one.name for one in self.layers}, set()
        for node in reversed(self.model.graph.node):
            readers = [reader for name in node.output for reader in self.readers[name]]
            if any(one.name in layers or one.name in reaching for one in readers):
                reaching.add(node.name)
        return {node.name for node in self.model.graph.node} - reaching

    def copied(self) -> "Network":
        """Return a copy, whose weights may be changed."""
        return Network(self.content())

    def weights(self, name: str) -> Float32[np.ndarray, "..."]:
        """Return the values of a constant."""
        return np.asarray(numpy_helper.to_array(self._tensors[name]))

    def change(self, name: str, values: np.ndarray) -> None:
        """Replace the values of a constant."""
        self._tensors[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))

    def add(self, name: str, values: np.ndarray) -> str:
        """Store a further constant, and return its name."""
        self.model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        self._tensors[name] = self.model.graph.initializer[-1]
        return name

    def content(self) -> bytes:
        """Return the graph as it is now."""
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content

    def observe(self, rows: Sequence[Values], names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yield values of inner tensors for one image after the other, without those that are no maps."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        inner = [name for name in dict.fromkeys(names) if name in self.producers]
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(x) for x in inner if x not in self.results)
        session = open_session(model.SerializeToString(), threads=1)
        for row in rows:
            found = dict(zip(inner, session.run(inner, dict(row)), strict=True)) if inner else {}  # [] would be all
            given = {name: row[name] for name in names if name in row}
            yield {name: value for name, value in {**found, **given}.items() if value.ndim == MAPS}


def folded(graph: bytes) -> onnx.ModelProto:
    """Compute what does not depend on inputs, and merge padding and normalisation into convolutions."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        model = onnx.load(path)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    used = {node.domain for node in model.graph.node} | {""}
    kept = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def attribute(node: NodeProto, name: str, default: Sequence[int]) -> list[int]:
    """Return an attribute of whole numbers."""
    found = next((one for one in node.attribute if one.name == name), None)
    return list(default) if found is None else list(found.ints) or [found.i]
