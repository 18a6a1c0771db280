"""Run a frozen network in ONNX Runtime: on a CPU a third of torch's time, with outputs equal to 1e-5.

A network is exported once for each input size. Its graph is kept in a scratch folder under a fingerprint of weights,
size and libraries, from where later processes load it; the folder may be deleted at any time. Unlike torch's, outputs
do not depend on the number of threads.

A graph has a batch of one: that is the fastest, and no result depends on which images come together. OpenVINO was
measured, too: in float32 it takes as long (10.2 to 10.6 processor-ms an image at 256 px), which is no second dependency
worth.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from stages.core.run.atomic import replacing_file
from stages.core.runtime.graphs import open_session as open_graph

if TYPE_CHECKING:
    import onnxruntime

LOG = logging.getLogger(__name__)
FOLDER = Path(os.environ.get("ODDPART_ENGINES", "work/engines"))  # git-ignored, no output of a stage
OPSET = 18
FORMAT = 1  # counted up when the export changes, so that older graphs are not taken
TOLERANCE = 1e-4  # of the largest value: above it the exported graph computes something else
INPUT = "image"


class Engine:
    """A network for images of any size on the CPU, exported when an image of a new size comes.

    Attributes:
        fingerprint: of the weights and the libraries; networks that compute the same have the same.
    """

    def __init__(self, network: Callable[[], nn.Module], *, name: str, fingerprint: str) -> None:
        """Keep where the network comes from; nothing is exported yet.

        Args:
            network: builds or returns it, frozen and on the CPU, when a graph is missing; it takes [1, 3, H, W] and
                returns a list of tensors of batch 1.
            name: for messages.
            fingerprint: of all that decides its outputs.
        """
        self.network = network
        self.name = name
        self.fingerprint = fingerprint
        self.sessions: dict[tuple[int, int], onnxruntime.InferenceSession | None] = {}
        self._opening = Lock()

    def session(self, size: tuple[int, int]) -> onnxruntime.InferenceSession | None:
        """Return the session for images of (height, width), None where the network cannot be exported."""
        with self._opening:
            if size not in self.sessions:
                self.sessions[size] = open_session(self.network, self.fingerprint, size=size, name=self.name)
            return self.sessions[size]

    def graph(self, size: tuple[int, int]) -> bytes:
        """Return the graph for images of (height, width).

        Raises:
            RuntimeError: the network cannot be exported.
        """
        if self.session(size) is None:
            raise RuntimeError(f"{self.name} has no graph")
        return graph_file(self.fingerprint, size).read_bytes()

    def run(self, image: Float[Tensor, "1 3 H W"]) -> list[Float[Tensor, "1 C h w"]]:
        """Return the outputs for one image.

        Raises:
            RuntimeError: the network cannot be exported; ask `session` first.
        """
        session = self.session((image.shape[-2], image.shape[-1]))
        if session is None:
            raise RuntimeError(f"{self.name} has no graph")
        return [torch.from_numpy(output) for output in session.run(None, {INPUT: image.contiguous().numpy()})]


def fingerprint_of_weights(network: nn.Module, *, name: str) -> str:
    """Return a hash of all that decides a network's outputs, but for the input.

    Args:
        name: since the weights do not say how they are connected.
    """
    digest = hashlib.sha256(libraries(name))
    for key, tensor in network.state_dict().items():
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def fingerprint_of_file(path: Path, *, name: str) -> str:
    """Do as `fingerprint_of_weights` for a network that is not built yet, by the file of its weights."""
    digest = hashlib.sha256(libraries(name))
    digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def libraries(name: str) -> bytes:
    """Return what a graph is made by: the name of the network, and versions."""
    versions = [version(package) for package in ("torch", "timm", "onnx", "onnxruntime")]
    return f"{name} {FORMAT} {OPSET} {versions}".encode()


def open_session(
    network: Callable[[], nn.Module], fingerprint: str, *, size: tuple[int, int], name: str
) -> onnxruntime.InferenceSession | None:
    """Load the graph of an input size, which is exported and compared with torch where the folder has none.

    Returns:
        None where the network cannot be exported or its graph computes something else; both are logged.
    """
    path = graph_file(fingerprint, size)
    try:
        return load_session(path.read_bytes())
    except FileNotFoundError:
        pass
    except Exception as error:  # a foreign parser: whatever it says, a new graph can be made
        LOG.warning("%s cannot be read (%s): exporting %s again", path, error, name)
    try:
        # The caller's mixed precision would be traced into the graph, which is of float32.
        with torch.autocast("cpu", enabled=False), replacing_file(path) as temporary:
            export(fixed(network(), size), temporary, size=size)
            session = load_session(temporary.read_bytes())
            check(session, network(), size=size)
    except Exception as error:  # torch and onnx raise their own kinds for each operation that has no translation
        LOG.warning("%s runs in torch, since it cannot be exported: %s: %s", name, type(error).__name__, error)
        return None
    return session


def fixed(network: nn.Module, size: tuple[int, int]) -> nn.Module:
    """Return a network for images of one size, where it can be laid out for one: graphs need not do that each time."""
    at_size: Callable[[tuple[int, int]], nn.Module] | None = getattr(network, "at_size", None)
    return network if at_size is None else at_size(size)


def graph_file(fingerprint: str, size: tuple[int, int]) -> Path:
    """Return where the graph of a network for images of (height, width) is kept."""
    return FOLDER / f"{fingerprint}-{size[0]}x{size[1]}.onnx"


def export(network: nn.Module, path: Path, *, size: tuple[int, int]) -> None:
    """Write the graph of a network for one image of a size; padding that depends on the size becomes constant."""
    write_graph(network, path, {INPUT: torch.zeros(1, 3, *size)})


def write_graph(
    network: nn.Module,
    path: Path,
    examples: Mapping[str, Tensor],
    outputs: Sequence[str] | None = None,
    *,
    folded: bool = True,
) -> None:
    """Write the graph of a network; the same network gives the same bytes.

    Args:
        network: in eval mode, in float32 and on the CPU.
        path: of the file.
        examples: inputs by name, in the network's order; sizes become constants.
        outputs: names of what it returns, numbers without them.
        folded: whether what is computed of weights alone is stored in their place; where several nodes need it, each
            stores its own. ONNX Runtime folds it when it opens the graph, too.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of every size that becomes a constant, which is what we want
        torch.onnx.export(
            network, tuple(examples.values()), path, input_names=list(examples), output_names=outputs,
            opset_version=OPSET, dynamo=False, do_constant_folding=folded,
        )  # fmt: skip


def load_session(graph: bytes) -> onnxruntime.InferenceSession:
    """Open a session with as many threads as torch uses, which sleep while they wait."""
    return open_graph(graph, threads=torch.get_num_threads())


def check(session: onnxruntime.InferenceSession, network: nn.Module, *, size: tuple[int, int]) -> None:
    """Compare the graph with the network it was made from, on noise.

    Raises:
        ValueError: an output differs by more than TOLERANCE of its largest value.
    """
    image = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
    with torch.no_grad():
        wanted: Sequence[Tensor] = network(torch.from_numpy(image))
    for ours, theirs in zip(session.run(None, {INPUT: image}), wanted, strict=True):
        error = relative_error(ours, theirs.numpy())
        if not error <= TOLERANCE:
            raise ValueError(f"the exported graph differs from the network by {error:.1e} of the largest value")


def relative_error(ours: Float32[np.ndarray, "*s"], theirs: Float32[np.ndarray, "*s"]) -> float:
    """Return the largest difference, as a fraction of the largest absolute value."""
    return float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), np.finfo(np.float32).tiny))
