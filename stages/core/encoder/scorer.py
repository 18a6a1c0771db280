"""A method's trained networks as one graph next to its scores: from an image and its features to score and map.

The stage that trained them writes it, so that bundles and predictions need nothing of the method's code.
Scores differ from the graph's only where a GPU computed in lower precision.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.engine import write_graph
from stages.core.io.lineage import content_hash
from stages.core.io.result import SCORER
from stages.core.run.errors import UserError
from stages.core.runtime.graphs import IMAGE, LEVEL
from stages.core.runtime.reading import Window, sides_of

LOG = logging.getLogger(__name__)
GRAPH = "scorer.onnx"
FAILED = "cannot_be_exported"  # key of scorer.json where there is no graph: why
REMEDY = "delete it and run `dvc repro`"


class ScorerNetwork(Protocol):
    """A network that can be written; it is called with its inputs in order."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """IMAGE, normalised for the encoder, or LEVEL with the number of an encoder's output, from 0."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """SCORE and MAP, and scores of branches by their names."""


@dataclass(frozen=True)
class Scorer:
    """What was written.

    Attributes:
        encoder: name of the frozen network; it normalises images, and its features may be inputs.
        stages: timm's numbers of its layers.
        image_size: height and width in pixels to which images are resized.
        grey_range: what images of more than 8 bits are spread over; None where the training images had 8.
        settings: of the method, for people.
        graph: of the networks.
    """

    encoder: str
    stages: tuple[int, ...]
    image_size: tuple[int, int]
    grey_range: Window | None
    settings: Mapping[str, Any]
    graph: bytes


def write_scorer(
    folder: Path,
    network: ScorerNetwork,
    encoder: FrozenEncoder,
    *,
    size: tuple[int, int],
    grey_range: Window | None,
    settings: Mapping[str, Any],
) -> None:
    """Write `folder`/scorer.onnx and `folder`/scorer.json; the same network gives the same bytes.

    It moves the network to the CPU: call it last. Of one that cannot be exported scorer.json says why, as the log does,
    and no graph is written: its scores are right all the same.
    """
    assert isinstance(network, nn.Module)
    own = network.cpu().eval().requires_grad_(False)
    image = torch.zeros(1, 3, *size)
    mean, std = encoder.mean.cpu(), encoder.std.cpu()
    known: dict[str, Tensor] = {IMAGE: (image - mean) / std}
    if any(name.startswith(LEVEL) for name in network.inputs):
        features = encoder(image.to(encoder.mean.device))
        known |= {f"{LEVEL}{number}": one.cpu().contiguous() for number, one in enumerate(features)}
    examples = {name: known[name] for name in network.inputs}
    try:
        with torch.autocast("cpu", enabled=False):
            write_graph(own, folder / GRAPH, examples, network.outputs)
    except Exception as error:  # torch raises its own kinds for each operation that has no translation
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        LOG.warning("no graph for bundles and `oddpart predict`, as the networks cannot be exported: %s", problem)
        (folder / GRAPH).unlink(missing_ok=True)
        write_about(folder, {FAILED: problem})
        return
    about = {
        "encoder": encoder.name, "stages": list(encoder.stages), "image_size": list(size),
        "grey_range": None if grey_range is None else asdict(grey_range), "settings": dict(settings),
        "graph_sha256": content_hash(folder / GRAPH),
    }  # fmt: skip
    write_about(folder, about)


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `folder`/scorer.json."""
    (folder / SCORER).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_scorer(path: Path) -> Scorer:
    """Read scorer.json and the graph next to it.

    Raises:
        UserError: a file is missing or damaged, the graph is another one, or the networks could not be exported.
    """
    graph = path.parent / GRAPH
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if FAILED in about:
            raise UserError(
                f"{path}: {path.parent.name} is trained, but has no graph to judge new pictures by, since its networks "
                f"could not be exported ({about[FAILED]}): name another method, or switch this one off"
            )
        grey_range = None if about["grey_range"] is None else Window(**about["grey_range"])
        found = Scorer(
            about["encoder"], tuple(about["stages"]), sides_of(about["image_size"]), grey_range, about["settings"],
            graph.read_bytes(),
        )  # fmt: skip
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: no readable scorer ({error!r}): {REMEDY}") from None
    if content_hash(graph) != about["graph_sha256"]:
        raise UserError(f"{graph}: is not of the same run as {path.name} (its sha256 differs): {REMEDY}")
    return found
