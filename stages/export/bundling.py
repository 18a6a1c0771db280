"""Write a bundle: graphs, histograms, test pictures and the manifest, in float32 and without a date."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.aecsad.model.part_kinds import PartsGraph
from stages.aecsad.model.part_numbers import PARTS
from stages.aecsad.model.segmentor import LabelMapGraph
from stages.aecsad.model.student_teacher import StudentsGraph
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.engine import write_graph
from stages.core.io.lineage import SCORER_PART
from stages.core.neighbours.memory import BankGraph
from stages.core.run.errors import UserError
from stages.core.runtime.bundle import HISTOGRAMS
from stages.core.runtime.explaining import FILE as EXPLAINER
from stages.core.runtime.explaining import explainer_content
from stages.core.runtime.graphs import IMAGE, LEVEL, BranchGraph
from stages.core.runtime.histograms import HistogramModel
from stages.core.runtime.manifest import FILES, MANIFEST, sealed
from stages.core.runtime.packing import packed
from stages.export.parity import Expected
from stages.export.parts import STUDENT_TEACHER, Parts

PICTURES = "pictures"


@dataclass(frozen=True)
class Branch:
    """A branch of a method as a network.

    Attributes:
        name: of its score; what makes label maps has no score, and its name is only that of its file.
        size: height and width in pixels to which images are resized.
    """

    name: str
    size: tuple[int, int]
    network: StudentsGraph | LabelMapGraph | PartsGraph | BankGraph


def branches_of(parts: Parts) -> list[Branch]:
    """Return the branches in the order in which the pipeline judges by them; a further kind is one more entry."""
    found = []
    if parts.students is not None:
        side = parts.students.image_size
        size = (side, side)
        if parts.histogram is not None:
            found.append(Branch("segmentation", size, LabelMapGraph(parts.histogram.segmentor, size=side)))
        if parts.counted is not None:
            found.append(Branch(PARTS, size, PartsGraph(parts.counted)))
        found.append(Branch(STUDENT_TEACHER, size, StudentsGraph(parts.students.network)))
    return found + [Branch(name, bank.image_size, BankGraph(bank)) for name, bank in parts.banks.items()]


def write_bundle(
    folder: Path, parts: Parts, about: Mapping[str, Any], *, expected: Sequence[Expected], images: Path
) -> None:
    """Write a bundle into an empty folder; the same parts give the same bytes.

    Args:
        folder: of the bundle.
        parts: trained, on the CPU.
        about: what else the manifest says: product, method, ...
        expected: of the pictures that are to go with it.
        images: the folder of their files.

    Raises:
        UserError: a network cannot be exported.
    """
    branches = branches_of(parts)
    entries = [{"name": one.name, "size": list(one.size), "graph": graph_name(one.name)} for one in branches]
    sizes = {branch.size for branch in branches}
    for branch in branches:
        write_branch(folder / graph_name(branch.name), branch, parts.encoder)
    if parts.scorer is not None:
        name = graph_name(SCORER_PART)
        (folder / name).write_bytes(parts.scorer.graph)
        entries = [{"name": SCORER_PART, "size": list(parts.scorer.image_size), "graph": name}]
        sizes = {parts.scorer.image_size} if needs_features(parts.scorer.graph) else set()
    encoder = write_encoder(folder, parts.encoder, sizes=sorted(sizes))
    if parts.histogram is not None and parts.histogram.models:
        (folder / HISTOGRAMS).write_bytes(histograms_content(parts.histogram.models))
    if parts.explainer is not None:
        (folder / EXPLAINER).write_bytes(explainer_content(parts.explainer))
    content = {
        **about,
        "encoder": encoder,
        "grey_range": None if parts.grey_range is None else asdict(parts.grey_range),
        "branches": entries,
        "fusion": None if parts.fusion is None else parts.fusion.to_json(),
        "map_fusion": None if parts.map_fusion is None else parts.map_fusion.to_json(),
        "calibration": asdict(parts.calibration),
        "made_from": dict(parts.fingerprints),
        "test_pictures": [copy_picture(folder, number, one, images) for number, one in enumerate(expected, 1)],
    }
    hashes = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files_below(folder)}
    (folder / MANIFEST).write_text(sealed({**content, FILES: hashes}), encoding="utf-8")


def graph_name(branch: str) -> str:
    """Return the name of a branch's graph."""
    return f"{branch}.onnx"


def needs_features(graph: bytes) -> bool:
    """Report whether a graph takes features of the frozen network, and not the image alone."""
    return any(name.startswith(LEVEL) for name in BranchGraph(graph, threads=1).inputs)


def write_encoder(folder: Path, encoder: FrozenEncoder, *, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Write the frozen network for each input size, the graph that the pipeline itself runs on a CPU.

    Returns:
        Its entry of the manifest.

    Raises:
        UserError: it cannot be exported.
    """
    graphs = []
    for height, width in sizes:
        name = f"encoder-{width}x{height}.onnx"
        try:
            (folder / name).write_bytes(encoder.engine.graph((height, width)))
        except RuntimeError:
            raise UserError(
                f"{encoder.name} cannot be exported for {width} x {height} pixels: choose another encoder.name"
            ) from None
        graphs.append({"size": [height, width], "graph": name})
    statistics = {name: getattr(encoder, name).flatten().tolist() for name in ("mean", "std")}
    return {"name": encoder.name, **statistics, "graphs": graphs}


def write_branch(path: Path, branch: Branch, encoder: FrozenEncoder) -> None:
    """Write the graph of a branch.

    Raises:
        UserError: it cannot be exported.
    """
    image = torch.zeros(1, 3, *branch.size)
    known: dict[str, Tensor] = {IMAGE: encoder.normalise(image)}
    known |= {f"{LEVEL}{number}": one for number, one in enumerate(encoder(image))}
    network: nn.Module = branch.network.eval().requires_grad_(False)
    examples = {name: known[name].contiguous() for name in branch.network.inputs}
    try:
        banked = isinstance(network, BankGraph)  # its patches are compared block by block: folded, each has a copy
        write_graph(network, path, examples, branch.network.outputs, folded=not banked)
    except Exception as error:  # torch raises its own kinds for each operation that has no translation
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"the branch {branch.name} cannot be exported ({problem}): switch it off") from None


def histograms_content(models: Sequence[HistogramModel]) -> bytes:
    """Return the histogram models as arrays in one file, see `stages.core.runtime.bundle.read_histograms`."""
    arrays = {f"mean_{model.grid}": model.mean for model in models}
    arrays |= {f"precision_{model.grid}": model.precision for model in models}
    arrays |= {name: np.array([getattr(model, name) for model in models]) for name in ("grid", "num_classes")}
    return packed(arrays)


def copy_picture(folder: Path, number: int, expected: Expected, images: Path) -> dict[str, Any]:
    """Copy a picture into the bundle and return what is expected of it."""
    source = images / expected.file
    name = f"{PICTURES}/{number}{source.suffix}"
    (folder / PICTURES).mkdir(exist_ok=True)
    shutil.copyfile(source, folder / name)
    return {"file": name, "image_id": expected.image_id, "score": expected.score,
            "is_anomalous": expected.is_anomalous, "branches": dict(expected.branches)}  # fmt: skip


def files_below(folder: Path) -> Iterable[Path]:
    """Return all files, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
