"""The number of parts of each kind that an image shows, and how odd it is, wherever they lie and however turned.

Areas of kinds are summed over the whole image, so that touching parts need not be told apart: what is steady in normal
images is how many there are of each kind. Kinds are those of stages.aecsad.model.part_kinds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64
from pydantic import TypeAdapter, ValidationError

from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.run.errors import UserError
from stages.core.runtime.counting import BRANCH, NumberFinding, NumberModel

PARTS = BRANCH  # the branch, and its column
PART_AREAS = "part_areas"  # in the folder of the stage segmentation: <fold>.npz, 0 by all training images
SHRINKAGE = 0.01  # of the correlation of areas, towards none
TINY = 1e-12


@dataclass(frozen=True)
class KindClassifier:
    """Linear discriminants f W + b of a cell's features f over K kinds and, last, the ground.

    Attributes:
        matrix, bias: W and b.
    """

    matrix: Float32[np.ndarray, "C K+1"]
    bias: Float32[np.ndarray, " K+1"]


@dataclass(frozen=True)
class PartAreas:
    """Areas of K kinds in all images, and what they are measured by; K may be 0, where no parts were found.

    Attributes:
        areas: of the images `image_ids`.
        edited: of the edited pictures, in their order.
        shifts: of I parts of training images: the areas inside each, which its image would lack without it.
        kinds: kind of each of these parts, 0..K-1.
        components: class in the label maps that most parts of each kind have; 0 for none.
    """

    image_ids: tuple[str, ...]
    areas: Float64[np.ndarray, "N K"]
    edited: Float64[np.ndarray, "M K"]
    classifier: KindClassifier
    shifts: Float64[np.ndarray, "I K"]
    kinds: Int64[np.ndarray, " I"]
    components: Int64[np.ndarray, " K"]


def write_part_areas(folder: Path, parts: PartAreas, *, fold: int) -> None:
    """Write compressed arrays; equal areas give equal bytes.

    Args:
        folder: of the stage segmentation.
        parts: to write.
        fold: that the kinds have not seen; VALIDATION_FOLD: found in all training images.
    """
    names = ("areas", "edited", "shifts", "kinds", "components")
    arrays = {name: getattr(parts, name) for name in names}
    classifier = {"matrix": parts.classifier.matrix, "bias": parts.classifier.bias}
    (folder / PART_AREAS).mkdir(exist_ok=True)
    path = folder / PART_AREAS / f"{fold}.npz"
    write_arrays(path, image_ids=np.array(parts.image_ids, dtype=np.str_), **arrays, **classifier)


def read_part_areas(folder: Path, folds: Iterable[int]) -> dict[int, PartAreas]:
    """Read what `write_part_areas` wrote of each fold.

    Raises:
        UserError: the file of a fold is missing or damaged.
    """
    return {fold: read_fold(folder / PART_AREAS / f"{fold}.npz") for fold in folds}


def read_fold(path: Path) -> PartAreas:
    """Read one file."""
    names = ("image_ids", "areas", "edited", "shifts", "kinds", "components", "matrix", "bias")
    found = read_arrays(path, names)
    image_ids, areas, edited, shifts, kinds, components, matrix, bias = (found[name] for name in names)
    ids = tuple(image_ids.tolist())
    return PartAreas(ids, areas, edited, KindClassifier(matrix, bias), shifts, kinds, components)


@dataclass(frozen=True)
class PartModel:
    """What areas normal images have, and which of their directions a part more or less moves them in.

    Attributes:
        mean: m, of normal images.
        whitening: W, to uncorrelated areas of variance 1.
        root: A, of the weights of directions: the distance is |A W (a - m)|.
        shifts: mean shift of a part of each kind, after W.
        components: see `PartAreas`.
    """

    classifier: KindClassifier
    mean: Float64[np.ndarray, " K"]
    whitening: Float64[np.ndarray, "K K"]
    root: Float64[np.ndarray, "K K"]
    shifts: Float64[np.ndarray, "K K"]
    components: Int64[np.ndarray, " K"]

    @property
    def numbers(self) -> NumberModel:
        """What says of which part there are too many or too few."""
        return NumberModel(self.mean, self.whitening, self.shifts, self.components)


def fit_part_model(parts: PartAreas, areas: Float64[np.ndarray, "T K"]) -> PartModel:
    """Fit to the areas of T >= 2 normal training images.

        a normal:            y = W (a - m),  of mean 0 and covariance I
        a part more or less: y + d,          d ~ N(0, M),  M = mean{(W s)(W s)ᵀ} over the shifts s of training parts
        distance² = yᵀ (I - (I + M)⁻¹) y,    twice the logarithm of the ratio of both likelihoods, up to a constant

    What no part moves is noise, however little it varies, and weighs nothing: the Mahalanobis distance, to which this
    tends for large M, adds up the noise of all directions.

    Args:
        parts: kinds and their shifts.
        areas: of training images.
    """
    mean = areas.mean(axis=0)
    covariance = np.atleast_2d(np.cov(areas, rowvar=False))
    std = np.sqrt(np.diag(covariance))
    inverse = np.where(std > TINY, 1 / np.maximum(std, TINY), 0)
    correlation = (1 - SHRINKAGE) * covariance * np.outer(inverse, inverse) + SHRINKAGE * np.eye(len(std))
    values, vectors = np.linalg.eigh(correlation)
    whitening = (vectors / np.sqrt(values)).T * inverse
    moved = parts.shifts @ whitening.T
    spread, directions = np.linalg.eigh(moved.T @ moved / len(moved))
    spread = np.maximum(spread, 0)
    root = np.sqrt(spread / (1 + spread))[:, None] * directions.T
    by_kind = np.stack([moved[parts.kinds == kind].mean(axis=0) for kind in range(len(mean))])
    return PartModel(parts.classifier, mean, whitening, root, by_kind, parts.components)


def part_distances(model: PartModel, areas: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, " N"]:
    """Return each image's distance, row by row: it must not depend on the other images."""
    found = [float(np.linalg.norm(model.root @ (model.whitening @ (row - model.mean)))) for row in areas]
    return np.array(found, dtype=np.float64)


FINDINGS = "part_findings.json"  # in the folder of the stage histogram
Findings = Mapping[str, Sequence[NumberFinding]]  # by image_id


def write_findings(folder: Path, findings: Findings) -> None:
    """Write the findings of all images into the folder of the stage histogram."""
    text = TypeAdapter(Findings).dump_json(findings, indent=1).decode("utf-8")
    (folder / FINDINGS).write_text(text + "\n", encoding="utf-8")


def read_findings(folder: Path) -> Findings:
    """Read what `write_findings` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = folder / FINDINGS
    try:
        return TypeAdapter(Findings).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        problem = type(error).__name__
        raise UserError(f"{path}: no readable findings ({problem}): delete it and run `dvc repro`") from None


ARRAYS = ("mean", "whitening", "root", "shifts", "components")
PREFIX = f"{PARTS}_"


def part_model_arrays(model: PartModel | None) -> dict[str, np.ndarray]:
    """Return a model as arrays for a file that holds others, too; of none, one that says so."""
    if model is None:
        return {f"{PREFIX}matrix": np.zeros((0, 0), dtype=np.float32)}
    arrays = {f"{PREFIX}{name}": getattr(model, name) for name in ARRAYS}
    return {f"{PREFIX}matrix": model.classifier.matrix, f"{PREFIX}bias": model.classifier.bias} | arrays


def read_part_model(path: Path) -> PartModel | None:
    """Read the model of a file that `part_model_arrays` went into; None where there was none.

    Raises:
        UserError: the file is missing an array or damaged.
    """
    if not read_arrays(path, [f"{PREFIX}matrix"])[f"{PREFIX}matrix"].size:
        return None
    names = ("matrix", "bias", *ARRAYS)
    found = read_arrays(path, [f"{PREFIX}{name}" for name in names])
    matrix, bias, *rest = (found[f"{PREFIX}{name}"] for name in names)
    return PartModel(KindClassifier(matrix, bias), *rest)
