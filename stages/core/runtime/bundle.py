"""A bundle: all that judges new pictures of a product, in one folder that needs neither torch nor this repository.

    verdict = oddpart.load("bundles/bracket/oddpart").predict("picture.png")

It computes what the pipeline computes, in the same order and from the same numbers, so that scores agree but for the
last digits of float32.
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core.runtime.calibration import Calibration, calibration_from_json
from stages.core.runtime.errors import UserError
from stages.core.runtime.explaining import FILE as EXPLAINER
from stages.core.runtime.explaining import Explainer, read_explainer, sentences
from stages.core.runtime.fusion import Fusion
from stages.core.runtime.graphs import AREAS, IMAGE, LABELS, LEVEL, MAP, SCORE, BranchGraph
from stages.core.runtime.histograms import HistogramModel, histogram_distances
from stages.core.runtime.manifest import MANIFEST, fusion_of, read_files, read_manifest
from stages.core.runtime.maps import MapFusion, to_half
from stages.core.runtime.pictures import read_picture, unlike_training
from stages.core.runtime.reading import SMALLEST_SIDE, Window, apply_window, resize_image, sides_of
from stages.core.runtime.wording import Names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float32, UInt8

HISTOGRAMS = "histograms.npz"
KNOWN = (SCORE, MAP, LABELS, AREAS)  # outputs of graphs; others are scores of branches within a single graph
SAME = 1e-5  # of a score: it is that of a validation image, but for the last digits


@dataclass(frozen=True)
class Verdict:
    """What a bundle finds in a picture.

    Attributes:
        score: higher is more anomalous.
        is_anomalous: whether it is above `threshold`.
        threshold: of the score.
        display_score: from 0 to 1, 0.5 at the threshold.
        p_value: how likely an unseen normal picture scores at least this; None where it was not fitted.
        unsure: whether the verdict might be another one with other normal validation images; None likewise.
        branches: score of each branch; None for one that the pipeline excluded.
        anomaly_map: h x w cells that cover the whole picture.
        size_note: how the picture's size differs from that of the training images; None where it does not.
        explanations: in words, what decided first; none where the method explains nothing.
        kind_note: how its file does, see `stages.core.runtime.pictures.unlike_training`; None also for an array.
    """

    score: float
    is_anomalous: bool
    threshold: float
    display_score: float
    p_value: float | None
    unsure: bool | None
    branches: dict[str, float | None]
    anomaly_map: Float32[np.ndarray, "h w"]
    size_note: str | None
    kind_note: str | None
    explanations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What graphs and histograms say of a picture before anything is joined.

    Attributes:
        columns: distances and scores as they are.
        maps: of the branches that have one.
        branches: scores of branches within a single graph.
        label_map: class of each pixel; None without segmentation.
        areas: of kinds of parts, where they are counted.
    """

    columns: dict[str, float]
    maps: dict[str, np.ndarray]
    branches: dict[str, float | None]
    label_map: UInt8[np.ndarray, "H W"] | None
    areas: np.ndarray | None


@dataclass(frozen=True)
class Judgement:
    """A score and what it was made of; see `Verdict`."""

    score: float
    branches: dict[str, float | None]
    anomaly_map: Float32[np.ndarray, "h w"]
    explanations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Branch:
    """A graph that judges an image, or segments it for the histograms.

    Attributes:
        size: height and width in pixels to which images are resized.
    """

    name: str
    size: tuple[int, int]
    graph: BranchGraph


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        path: of its folder.
        manifest: all that is known of it.
        encoders: the frozen network by input size.
        mean, std: of the encoder's normalisation, for each channel.
        histograms: of the columns in use.
        fusion: None for a method of one branch.
        map_fusion: None where the map is that of one branch.
        explainer: None where the method explains nothing.
        names: of components.
    """

    path: Path
    manifest: Mapping[str, Any]
    encoders: Mapping[tuple[int, int], BranchGraph]
    mean: Float32[np.ndarray, "3 1 1"]
    std: Float32[np.ndarray, "3 1 1"]
    branches: tuple[Branch, ...]
    histograms: tuple[HistogramModel, ...]
    fusion: Fusion | None
    map_fusion: MapFusion | None
    calibration: Calibration
    grey_range: Window | None
    explainer: Explainer | None
    names: Names

    @property
    def product(self) -> str:
        """Key of the product in params.yaml."""
        return str(self.manifest["product"])

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.manifest["method"])

    @property
    def covers_components(self) -> bool:
        """Whether a branch looks at components, so that logical anomalies are covered."""
        return bool(self.manifest["covers_logical_anomalies"])

    def predict(self, image: str | os.PathLike[str] | np.ndarray) -> Verdict:
        """Judge a picture.

        Args:
            image: a file, or pixels as they are viewed: H x W x 3 (RGB) or H x W (grey) of 8 bits; of 16 bits where the
                training images had more than 8.

        Raises:
            UserError: the file cannot be read, is a folder, or the array is no picture.
            TypeError: it is neither a path nor an array.
        """
        picture = self.pixels(image) if isinstance(image, np.ndarray) else read_picture(path_of(image), self.grey_range)
        found = self.judged(picture)
        if not math.isfinite(found.score):
            raise UserError(f"the score of the picture is {found.score}: look at it")
        calibration, score = self.calibration, found.score
        sureness, sizes = calibration.sureness, calibration.sizes
        return Verdict(
            score=score,
            is_anomalous=calibration.calls(score),
            threshold=calibration.threshold.value,
            display_score=calibration.display(score),
            p_value=None if sureness is None else sureness.p_value(score),
            unsure=None if sureness is None else sureness.unsure(score),
            branches=found.branches,
            anomaly_map=found.anomaly_map,
            size_note=None if sizes is None else sizes.difference(picture.shape[1], picture.shape[0]),
            kind_note=None
            if isinstance(image, np.ndarray)
            else unlike_training(Path(image), self.grey_range, calibration.files),
            explanations=found.explanations,
        )

    def judged(self, picture: UInt8[np.ndarray, "H W 3"]) -> Judgement:
        """Score a picture, see `settled`."""
        found = self.judge(picture)
        return replace(found, score=self.settled(found.score))

    def settled(self, score: float) -> float:
        """Return the score that the pipeline gave, where it is that of a validation image up to the last digits.

        The threshold is one of these scores: without this, rounding would decide the verdict of that image.
        """
        normal = () if self.calibration.sureness is None else self.calibration.sureness.normal
        nearest = min(normal, key=lambda one: abs(one - score), default=math.inf)
        return nearest if abs(nearest - score) <= SAME * self.scale(nearest) else score

    def calls(self, score: float) -> bool:
        """Return whether a picture whose score is not `settled` yet is called anomalous."""
        return self.calibration.calls(self.settled(score))

    def scale(self, score: float) -> float:
        """Return what a difference is compared with: the score, or the way from a typical one to the threshold."""
        return max(abs(score), self.calibration.threshold.value - self.calibration.median)

    def pixels(self, image: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
        """Check an array and return it as 8-bit RGB.

        Raises:
            UserError: it is no picture.
        """
        if image.dtype == np.uint16 and self.grey_range is not None and image.ndim in (2, 3):
            image = apply_window(image, self.grey_range)
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            kinds = "uint8" if self.grey_range is None else "uint8 or uint16"
            problem = f"an array of {image.dtype} and shape {image.shape} is no picture"
            raise UserError(f"{problem}: give {kinds} of H x W x 3 or H x W")
        if min(image.shape[:2]) < SMALLEST_SIDE:
            raise UserError(
                f"the array is {image.shape[1]} x {image.shape[0]} pixels, at least {SMALLEST_SIDE} a side are needed"
            )
        return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image

    def judge(self, picture: UInt8[np.ndarray, "H W 3"]) -> Judgement:
        """Score a picture as the pipeline does."""
        return self.join(self.see(picture))

    def see(self, picture: UInt8[np.ndarray, "H W 3"]) -> Seen:
        """Compute what the graphs and histograms say, each by itself."""
        inputs = {size: self.encode(picture, size) for size in {branch.size for branch in self.branches}}
        columns: dict[str, float] = {}
        maps: dict[str, np.ndarray] = {}
        label_map, areas = None, None
        own: dict[str, float | None] = {}
        for branch in self.branches:
            found = branch.graph(inputs[branch.size])
            own |= {name: float(value.item()) for name, value in found.items() if name not in KNOWN}
            if SCORE in found:
                columns[branch.name] = float(found[SCORE].item())
            if MAP in found:
                maps[branch.name] = to_half(found[MAP])
            areas = found.get(AREAS, areas)
            if LABELS in found:
                label_map = found[LABELS][0]
                columns |= {one.column: float(histogram_distances(one, found[LABELS])[0]) for one in self.histograms}
        return Seen(columns, maps, own, label_map, areas)

    def join(self, seen: Seen) -> Judgement:
        """Make one score and one map of it, and explain them."""
        columns, maps = seen.columns, seen.maps
        if self.fusion is None:
            (name,) = columns
            return Judgement(columns[name], seen.branches, maps[name].astype(np.float32))
        scores = {name: np.array([value]) for name, value in columns.items()}
        fused, used = self.fusion(scores)
        parts = {one.name: float(used[one.name][0]) if one.name in used else None for one in self.fusion.branches}
        if self.map_fusion is None:
            (fused_map,) = maps.values()
        else:
            fused_map = self.map_fusion({name: one[None] for name, one in maps.items()})[0]
        said = sentences(
            self.explainer, self.calibration, parts, self.names, label_map=seen.label_map, maps=maps, areas=seen.areas
        )
        return Judgement(float(fused[0]), parts, fused_map.astype(np.float32), said)

    def encode(self, picture: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return the normalised image at a size, and the encoder's features of it."""
        image = resize_image(picture, size).transpose(2, 0, 1).astype(np.float32) / np.float32(255.0)
        normalised = ((image - self.mean) / self.std)[None]
        features = self.encoders[size]({IMAGE: normalised}).values() if size in self.encoders else ()
        return {IMAGE: normalised, **{f"{LEVEL}{number}": one for number, one in enumerate(features)}}


def path_of(image: object) -> Path:
    """Return the path of a picture's file.

    Raises:
        UserError: it is a folder.
        TypeError: it is no path.
    """
    if not isinstance(image, str | os.PathLike):
        raise TypeError(
            f"a {type(image).__name__} is no picture: give the path of a file, or a NumPy array of uint8, H x W x 3"
        )
    path = Path(os.fsdecode(image))
    if path.is_dir():
        raise UserError(f"{path}: is a folder: give the files in it one by one, or run `oddpart predict BUNDLE FOLDER`")
    return path


def load(path: str | os.PathLike[str], *, threads: int | None = None) -> Bundle:
    """Load a bundle; every file is checked before anything is computed.

    Args:
        path: its folder.
        threads: of a computation; as many as cores that this process may use where None.

    Raises:
        UserError: it is no bundle, a file is missing, was changed or damaged, or its format is not known.
        TypeError: it is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"a {type(path).__name__} is no bundle: give the path of its folder")
    folder = Path(path)
    manifest = read_manifest(folder)
    files = read_files(folder, manifest)
    try:
        return build(folder, manifest, files, threads=threads or cores())
    except Exception as error:  # ONNX Runtime and NumPy raise their own kinds; the files are as they were exported
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{folder / MANIFEST}: cannot be used ({problem}): export it again") from None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes], *, threads: int) -> Bundle:
    """Build a bundle from its files.

    Raises:
        Exception: the manifest has another layout, or a graph cannot be opened.
    """
    encoder, grey_range, fusion = manifest["encoder"], manifest["grey_range"], fusion_of(manifest)
    map_fusion = manifest["map_fusion"]
    mean, std = (np.array(encoder[key], dtype=np.float32).reshape(3, 1, 1) for key in ("mean", "std"))

    def graph(name: str) -> BranchGraph:
        return BranchGraph(files[name], threads=threads)

    return Bundle(
        path=folder,
        manifest=manifest,
        encoders={sides_of(one["size"]): graph(one["graph"]) for one in encoder["graphs"]},
        mean=mean,
        std=std,
        branches=tuple(Branch(one["name"], sides_of(one["size"]), graph(one["graph"])) for one in manifest["branches"]),
        histograms=read_histograms(files[HISTOGRAMS]) if HISTOGRAMS in files else (),
        fusion=None if fusion is None else Fusion.from_json(fusion),
        map_fusion=None if map_fusion is None else MapFusion.from_json(map_fusion),
        calibration=calibration_from_json(manifest["calibration"]),
        grey_range=None if grey_range is None else Window(**grey_range),
        explainer=read_explainer(files[EXPLAINER]) if EXPLAINER in files else None,
        names={int(number): str(name) for number, name in manifest["components"].items()},
    )


def read_histograms(content: bytes) -> tuple[HistogramModel, ...]:
    """Read the histogram models of a file: grid and num_classes of each, and under its grid mean and precision."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        pairs = zip(arrays["grid"].tolist(), arrays["num_classes"].tolist(), strict=True)
        return tuple(
            HistogramModel(grid, classes, arrays[f"mean_{grid}"], arrays[f"precision_{grid}"])
            for grid, classes in pairs
        )
