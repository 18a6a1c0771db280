"""Exported networks: ONNX graphs, which ONNX Runtime computes on the CPU."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would report its use to its maker; read when it is imported
import onnxruntime  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

IMAGE, LEVEL = "image", "level_"  # inputs: the normalised image, and the encoder's outputs by their number
SCORE, MAP, LABELS = "score", "map", "labels"  # outputs: of a picture, of its cells, and the class of each pixel
AREAS = "areas"  # output: of kinds of parts


@cache
def has_vnni() -> bool:
    """Return whether the processor is known to add products of 8 bits up in 32.

    Others cut sums of two off at 16 bits, unless ONNX Runtime is told to be exact, which takes it twice as long.
    """
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def open_session(graph: bytes, *, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph; threads sleep while they wait, and no result depends on their number."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.x64quantprecision", "0" if has_vnni() else "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class BranchGraph:
    """A graph with inputs and outputs by name."""

    def __init__(self, graph: bytes, *, threads: int) -> None:
        """Open the graph.

        Raises:
            Exception: whatever ONNX Runtime raises at a damaged graph.
        """
        self.session = open_session(graph, threads=threads)
        self.inputs = tuple(one.name for one in self.session.get_inputs())
        self.outputs = tuple(one.name for one in self.session.get_outputs())

    def __call__(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs of one image.

        Args:
            values: the inputs; others among them are not looked at.
        """
        found = self.session.run(None, {name: values[name] for name in self.inputs})
        return dict(zip(self.outputs, found, strict=True))
