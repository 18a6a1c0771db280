"""A category's trained parts: load them, refuse those that do not belong together, score one image.

Scoring uses the pipeline's own functions, so that the same file gets the same score to the last bit. That holds on the
machine of the training and with as many cores: torch divides sums by the number of threads, which shifts the last
digits of a score.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, UInt8
from torch import Tensor, nn

from stages.aecsad.model.fusion import Fusion, fusion_from_json
from stages.aecsad.model.map_fusion import MapFusion, map_fusion_from_json
from stages.aecsad.model.part_kinds import kind_areas
from stages.aecsad.model.part_numbers import PARTS, PartModel, part_distances, read_part_model
from stages.aecsad.model.patch_histogram import read_histogram_models
from stages.aecsad.model.segmentor import Labeller, Segmentor, labeller_of
from stages.aecsad.model.student_teacher import StudentTeacher, rebuild
from stages.core.encoder.device import mixed_precision
from stages.core.encoder.encoder import FrozenEncoder, stack_images, to_float
from stages.core.encoder.scorer import Scorer, read_scorer
from stages.core.io.calibration import read_calibration
from stages.core.io.explanations import load_explainer
from stages.core.io.lineage import EXPLAINER_PART, SCORER_PART
from stages.core.io.result import MAPS
from stages.core.io.weights import read_weights
from stages.core.neighbours.memory import MemoryBank, read_bank
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.explaining import Explainer, sentences
from stages.core.runtime.graphs import IMAGE, LEVEL, MAP, SCORE, BranchGraph
from stages.core.runtime.histograms import HistogramModel, histogram_distances
from stages.core.runtime.maps import to_half
from stages.core.runtime.reading import Size, Window
from stages.core.runtime.wording import Names
from stages.export.recipes import FINE, TrainedFiles, check_one_run

STUDENT_TEACHER = "student_teacher"  # the branch's only column
NEIGHBOURS = ("neighbours", FINE)  # the branches that are memory banks
Features = Sequence[Float[Tensor, "1 _C _h _w"]]
Map = Float32[np.ndarray, "h w"] | Float16[np.ndarray, "h w"]


@dataclass(frozen=True)
class HistogramBranch:
    """Segments an image and judges the areas.

    Attributes:
        models: that have weight; none where the branch is excluded, and label maps only explain.
        label_map: by the network.
    """

    segmentor: Segmentor
    models: tuple[HistogramModel, ...]
    label_map: Labeller


@dataclass(frozen=True)
class StudentBranch:
    """The students, and how images have to be for them."""

    network: StudentTeacher
    encoder: str
    image_size: int
    grey_range: Window | None


@dataclass(frozen=True)
class Parts:
    """All that turns an image into a verdict.

    Attributes:
        encoder: the frozen network of all branches.
        grey_range: what images of more than 8 bits are spread over; None where the training images had 8.
        histogram: None where the product has no classes of components, or the method needs none.
        counted: what numbers of parts are judged by; None likewise.
        students: None where the method has none.
        banks: of the branches of NEIGHBOURS, those that are needed.
        fusion, map_fusion: None for a method of one branch, and the latter for one whose map is the students'.
        explainer: of new images; None where the method explains nothing.
        scorer: networks as one graph; with one there are no other branches.
        fingerprints: sha256 of each part.
    """

    encoder: FrozenEncoder
    grey_range: Window | None
    histogram: HistogramBranch | None
    counted: PartModel | None
    students: StudentBranch | None
    banks: Mapping[str, MemoryBank]
    fusion: Fusion | None
    map_fusion: MapFusion | None
    calibration: Calibration
    explainer: Explainer | None
    scorer: Scorer | None
    fingerprints: Mapping[str, str]

    @property
    def covers_components(self) -> bool:
        """Whether a branch looks at components, so that logical anomalies are covered."""
        return (self.histogram is not None and bool(self.histogram.models)) or self.counted is not None


def load_parts(files: TrainedFiles, *, device: torch.device) -> Parts:
    """Load a method's parts.

    Raises:
        UserError: a part is damaged, of another run than the others, or was replaced meanwhile.
    """
    fingerprints, paths = check_one_run(files), files.paths
    if SCORER_PART in paths:
        return scored_parts(paths, fingerprints, device)
    fusion, map_fusion = read_fusion(paths["fusion"]) if "fusion" in paths else (None, None)
    students = read_students(paths[STUDENT_TEACHER], device) if STUDENT_TEACHER in paths else None
    explainer = load_explainer(paths[EXPLAINER_PART]) if EXPLAINER_PART in paths else None
    histogram, counted = None, None
    if fusion is not None and students is not None:
        columns = set(fusion.normal) - {STUDENT_TEACHER, PARTS, *NEIGHBOURS}
        histogram = read_histogram_branch(paths, columns, students, device)
        counted = read_counted(paths["histogram"]) if PARTS in fusion.normal else None
    needed = set(NEIGHBOURS) if fusion is None else {*fusion.normal, *(map_fusion.scales if map_fusion else ())}
    banks = {name: read_bank(paths[name]) for name in NEIGHBOURS if name in paths and name in needed}
    seen_by: list[MemoryBank | StudentBranch] = [*banks.values(), *([] if students is None else [students])]
    described = [(one.encoder, one.grey_range) for one in seen_by]
    if any(one != described[0] for one in described):
        raise UserError(f"the trained parts see images differently ({described}): run `dvc repro`")
    name, grey_range = described[0]
    encoder = FrozenEncoder(name).to(device)
    banks = {branch: bank.to(device) for branch, bank in banks.items()}
    calibration = read_calibration(paths["calibration"])
    if check_one_run(files) != fingerprints:
        raise UserError("a retraining replaced the trained parts while they were read: start again when it has ended")
    return Parts(
        encoder, grey_range, histogram, counted, students, banks, fusion, map_fusion, calibration, explainer, None,
        fingerprints,
    )  # fmt: skip


def scored_parts(paths: Mapping[str, Path], fingerprints: Mapping[str, str], device: torch.device) -> Parts:
    """Load the parts of a method whose networks are one graph.

    Raises:
        UserError: a part is damaged.
    """
    scorer = read_scorer(paths[SCORER_PART])
    encoder = FrozenEncoder(scorer.encoder, stages=scorer.stages).to(device)
    calibration = read_calibration(paths["calibration"])
    return Parts(encoder, scorer.grey_range, None, None, None, {}, None, None, calibration, None, scorer, fingerprints)


def read_fusion(path: Path) -> tuple[Fusion, MapFusion | None]:
    """Read how a method joins its branches' scores and, where it does, their maps.

    Raises:
        UserError: the file is damaged.
    """
    with blamed_on(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        return fusion_from_json(content), map_fusion_from_json(content[MAPS]) if MAPS in content else None


def read_students(path: Path, device: torch.device) -> StudentBranch:
    """Read the students' branch.

    Raises:
        UserError: the file is damaged.
    """
    state, arguments = read_weights(path)
    with blamed_on(path):
        grey_range = None if arguments["grey_range"] is None else Window(**arguments["grey_range"])
        network = rebuild(state, arguments["module"])
        lay_out_as_trained(network.local_student)
        lay_out_as_trained(network.global_student)
        return StudentBranch(network.to(device), arguments["encoder"], arguments["image_size"], grey_range)


def read_histogram_branch(
    paths: Mapping[str, Path], columns: set[str], students: StudentBranch, device: torch.device
) -> HistogramBranch | None:
    """Read the histogram branch; None where there are no classes of components.

    Args:
        paths: of the parts.
        columns: names of the histogram columns that the fusion needs; without any, label maps only explain.
        students: the branch whose encoder and image size it shares.
        device: for its network.

    Raises:
        UserError: a file is damaged, or the parts are not of the same run.
    """
    state, arguments = read_weights(paths["segmentation"])
    models = tuple(model for model in read_histogram_models(paths["histogram"]) if model.column in columns)
    wanted = {"encoder": students.encoder, "image_size": students.image_size}
    if arguments.get("module") is None and not columns:
        return None
    with blamed_on(paths["segmentation"]):
        segmentor = Segmentor(**arguments["module"])
        segmentor.load_state_dict(state, strict=True)
        num_classes = segmentor.arguments["num_classes"]
        if any(arguments[key] != value for key, value in wanted.items()):
            raise ValueError(f"made with {arguments['encoder']} at {arguments['image_size']} px, not with {wanted}")
    with blamed_on(paths["histogram"]):
        if {model.column for model in models} != columns:
            raise ValueError(f"the fusion needs {', '.join(sorted(columns))}")
        if any(model.num_classes != num_classes for model in models):
            raise ValueError(f"the segmentation has {num_classes} classes, the histograms another number")
    lay_out_as_trained(segmentor.to(device))
    segmentor.eval().requires_grad_(False)
    return HistogramBranch(segmentor, models, labeller_of(segmentor, size=students.image_size))


def read_counted(path: Path) -> PartModel:
    """Read what numbers of parts are judged by.

    Args:
        path: of the histogram stage's model.

    Raises:
        UserError: the file is damaged, or has no such model though the fusion needs it.
    """
    model = read_part_model(path)
    if model is None:
        raise UserError(f"{path}: is not of the same run as the rest, it counts no parts: run `dvc repro`")
    return model


def lay_out_as_trained(network: nn.Module) -> None:
    """Lay the weights out in memory as training did, in place: another layout may change the last digits."""
    network.to(memory_format=torch.channels_last)


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file's content into a UserError."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: is damaged or not of the same run as the rest ({problem}): run `dvc repro`") from None


@dataclass(frozen=True)
class Prediction:
    """What the parts find in an image.

    Attributes:
        branches: score of each branch; None for one that the pipeline excluded.
        anomaly_map: in the units of the calibration's colour range; it covers the whole image.
        explanations: in words, what decided first; none where the method explains nothing.
    """

    score: float
    branches: dict[str, float | None]
    anomaly_map: Map
    explanations: tuple[str, ...] = ()


def predict(parts: Parts, picture: UInt8[np.ndarray, "H W 3"], names: Names | None = None) -> Prediction:
    """Score an image of `read_like_training` by itself, so that no score depends on other images.

    Args:
        parts: that judge.
        picture: 8-bit RGB.
        names: of components.
    """
    encode = Encoding(parts.encoder, picture)
    if parts.scorer is not None:
        return predict_by_graph(parts.encoder, parts.scorer, encode)
    columns: dict[str, float] = {}
    maps: dict[str, Map] = {}
    label_map, areas = None, None
    if parts.students is not None:
        image, features = encode(parts.students.image_size)
        label_map = label_map_of(parts.histogram, features)
        columns |= histogram_columns(parts.histogram, label_map)
        if parts.counted is not None:
            areas = kind_areas(parts.counted.classifier, features)
            columns[PARTS] = float(part_distances(parts.counted, areas[None])[0])
        columns[STUDENT_TEACHER], maps[STUDENT_TEACHER] = judge_students(parts, image, features)
    for name, bank in parts.banks.items():
        _, features = encode(bank.image_size, mixed=bank.mixed)
        columns[name], maps[name] = bank.judge(features)
    if parts.fusion is None:
        (name,) = columns
        return Prediction(columns[name], {}, maps[name])
    scores = {name: np.array([value], dtype=np.float64) for name, value in columns.items()}
    fused, used = parts.fusion(scores)
    branches = {one.name: float(used[one.name][0]) if one.name in used else None for one in parts.fusion.branches}
    half = {name: to_half(np.asarray(one)) for name, one in maps.items()}
    said = sentences(
        parts.explainer, parts.calibration, branches, names or {}, label_map=label_map, maps=half, areas=areas
    )
    if parts.map_fusion is None:
        return Prediction(float(fused[0]), branches, maps[STUDENT_TEACHER], said)
    fused_map = parts.map_fusion({name: one[None] for name, one in half.items()})
    return Prediction(float(fused[0]), branches, fused_map[0], said)


def predict_by_graph(encoder: FrozenEncoder, scorer: Scorer, encode: "Encoding") -> Prediction:
    """Score an image by a graph, which runs on the CPU wherever the features come from."""
    graph = opened(scorer.graph)
    image, features = encode(scorer.image_size)
    values = {IMAGE: encoder.normalise(image).cpu().contiguous().numpy()}
    values |= {f"{LEVEL}{number}": one.cpu().contiguous().numpy() for number, one in enumerate(features)}
    found = graph(values)
    branches = {name: float(value.item()) for name, value in found.items() if name not in (SCORE, MAP)}
    return Prediction(float(found[SCORE].item()), dict(branches), to_half(found[MAP]))


@cache
def opened(graph: bytes) -> BranchGraph:
    """Open a graph once."""
    return BranchGraph(graph, threads=torch.get_num_threads())


class Encoding:
    """Encodes one image, once for each size."""

    def __init__(self, encoder: FrozenEncoder, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        self.encoder, self.picture = encoder, picture
        self._known: dict[tuple[Size, bool], tuple[Float[Tensor, "1 3 H W"], Features]] = {}

    def __call__(self, size: Size, *, mixed: bool = False) -> tuple[Float[Tensor, "1 3 H W"], Features]:
        """Return the image with values in [0, 1], and its features.

        Args:
            size: in pixels to which it is resized.
            mixed: see `stages.core.neighbours.bank.PatchReader`.
        """
        if (size, mixed) not in self._known:
            device = self.encoder.mean.device
            image = to_float(stack_images([self.picture], size=size).to(device))
            with mixed_precision(device) if mixed else nullcontext():
                self._known[size, mixed] = image, self.encoder(image)
        return self._known[size, mixed]


def judge_students(
    parts: Parts, image: Float[Tensor, "1 3 S S"], features: Features
) -> tuple[float, Float32[np.ndarray, "h w"]]:
    """Return score and map of the students."""
    assert parts.students is not None
    network = parts.students.network
    anomaly_map = network.combine(network.raw_maps(parts.encoder.normalise(image), features))
    return float(network.pool(anomaly_map)), anomaly_map[0].cpu().numpy()


def label_map_of(branch: HistogramBranch | None, features: Features) -> UInt8[np.ndarray, "S S"] | None:
    """Return the label map of an image; None where there are no classes of components."""
    if branch is None:
        return None
    low, _, high = features
    return np.asarray(branch.label_map(low, high)[0].cpu().numpy())


def histogram_columns(branch: HistogramBranch | None, label_map: UInt8[np.ndarray, "S S"] | None) -> dict[str, float]:
    """Return the histogram distances by column; none where that branch is excluded."""
    if branch is None or label_map is None:
        return {}
    return {model.column: float(histogram_distances(model, label_map[None])[0]) for model in branch.models}
