"""Find kinds of parts in normal training images, and measure how much of each kind every image shows.

Many small groups of parts are better than few large ones: a group of two true kinds hides an exchange, while of two
groups of one true kind the sum stays steady, which the distance learns.
"""

import logging
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt16
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from torch.nn import functional

from stages.aecsad.model.describe import principal_components, unit_variance
from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.part_kinds import CELLS, Features, kind_areas, kind_probabilities
from stages.aecsad.model.part_numbers import KindClassifier, PartAreas
from stages.aecsad.segmentation.fitting import Fitted, one_by_one
from stages.core.encoder.encoder import FrozenEncoder, load_stack, read_ahead, to_float
from stages.core.io.components import ComponentMaps
from stages.core.io.rotation import VALIDATION_FOLD, rotations
from stages.core.run.console import progress
from stages.core.run.parallel import on_all_cores

LOG = logging.getLogger(__name__)
FEWEST_CELLS = 3  # of a part
LARGEST = 0.12  # share of the image, above which an instance is no part among others
PARTS_A_KIND = 5  # at least, on the average
IMAGES_A_KIND = 4  # training images: steady areas of more kinds could not be told from chance
DESCRIBED_BY = slice(1, None)  # of the encoder's strides: a part's mean of the finest one, 4, says little of its kind
DIMENSIONS = 16
GROUND_CELLS = 400  # of an image
REFITS = 2
SHRINKAGE = 1e-3  # of the classifier's covariance
Images = Iterable[UInt8[Tensor, "1 3 S S"]]


@dataclass(frozen=True)
class Parts:
    """I parts of T training images.

    Attributes:
        features: of all cells of the images.
        channels: of each stride, in the order of the features.
        image: row of each part's image.
        cells: of each part.
    """

    features: Float32[np.ndarray, "T c c C"]
    channels: tuple[int, ...]
    image: Int64[np.ndarray, " I"]
    cells: Bool[np.ndarray, "I c c"]


def measure_parts(
    fitted: Fitted,
    images: pd.DataFrame,
    folder: Path,
    found: ComponentMaps,
    label_maps: LabelMaps,
    edited: EditedPictures,
    turns: Mapping[int, LabelMaps],
    *,
    kinds: int | None,
    seed: int,
) -> dict[int, PartAreas]:
    """Fit the kinds of parts and measure their areas, under VALIDATION_FOLD in every image and edited picture.

    Under each further fold of rotating validation: in the normal images, by kinds of parts that are not of the fold's.

    Args:
        fitted: its encoder and image size are taken.
        images: the image table.
        folder: of the image files.
        found: parts of some training images.
        label_maps: of all images.
        edited: pictures made from validation images.
        turns: label maps of the normal images by fold.
        kinds: at most so many; None for none.
        seed: of the clustering.

    Raises:
        UserError: an image cannot be read.
    """
    settings: dict[str, Any] = {"image_size": fitted.image_size, "kinds": kinds, "seed": seed}
    measured = {VALIDATION_FOLD: measure(fitted.encoder, folder, images, found, label_maps, edited, **settings)}
    nothing = EditedPictures((), (), edited.values[:0])
    for fold, turned in rotations(images).items():
        own = parts_of(found, set(turned["image_id"][turned["split"] == "train"]))
        measured[fold] = measure(fitted.encoder, folder, turned, own, turns[fold], nothing, **settings)
    return measured


def parts_of(found: ComponentMaps, image_ids: Set[str]) -> ComponentMaps:
    """Return the parts of these images only."""
    kept = [row for row, image_id in enumerate(found.image_ids) if image_id in image_ids]
    return ComponentMaps(tuple(found.image_ids[row] for row in kept), found.values[kept], found.kinds[kept])


def measure(
    encoder: FrozenEncoder,
    folder: Path,
    images: pd.DataFrame,
    found: ComponentMaps,
    label_maps: LabelMaps,
    edited: EditedPictures,
    *,
    image_size: int,
    kinds: int | None,
    seed: int,
) -> PartAreas:
    """Do so for one image table, see `measure_parts`."""
    ids, fitted = tuple(images["image_id"]), None
    if kinds is not None and len(found.image_ids):
        files = images.set_index("image_id").loc[list(found.image_ids), "file"]
        stack = load_stack(folder, files, size=image_size)
        parts = collect_parts(encoder, stack, found.values)
        most = min(kinds, int((images["split"] == "train").sum()) // IMAGES_A_KIND)
        fitted = fit_kinds(parts, most=most, seed=seed)
    if fitted is None:
        LOG.info("no branch parts: too few parts were found in normal images, or part_kinds is null in the profile")
        return no_parts(ids, len(edited.values))
    classifier, of_part = fitted
    known = of_part >= 0
    rows = {image_id: row for row, image_id in enumerate(label_maps.image_ids)}
    labels = label_maps.values[[rows[image_id] for image_id in found.image_ids]]
    components = components_of(parts, of_part, labels, kinds=len(classifier.bias) - 1)
    shifts = shifts_of(classifier, encoder, stack, parts)[known]
    areas = areas_of(classifier, encoder, read_ahead(folder, images["file"], size=image_size), total=len(images))
    pictures = one_by_one(edited)
    of_edited = areas_of(classifier, encoder, pictures, total=len(edited.values))
    LOG.info("parts: %d kinds of %d parts in %d training images", areas.shape[1], known.sum(), len(stack))
    return PartAreas(ids, areas, of_edited, classifier, shifts, of_part[known], components)


def no_parts(image_ids: tuple[str, ...], edited: int) -> PartAreas:
    """Return areas of no kind."""
    classifier = KindClassifier(np.zeros((0, 1), np.float32), np.zeros(1, np.float32))
    areas, nothing = np.zeros((len(image_ids), 0)), np.zeros(0, dtype=np.int64)
    return PartAreas(image_ids, areas, np.zeros((edited, 0)), classifier, np.zeros((0, 0)), nothing, nothing)


def features_of(encoder: FrozenEncoder, image: UInt8[Tensor, "1 3 S S"]) -> Features:
    """Return the features of one image, from disk where some stage has encoded it before."""
    return encoder.recall(to_float(image.to(encoder.mean.device)))


def collect_parts(
    encoder: FrozenEncoder, stack: UInt8[Tensor, "T 3 S S"], values: UInt16[np.ndarray, "T H W"]
) -> Parts:
    """Return the parts that hold the middle of FEWEST_CELLS or more, and the features of all cells."""
    cells, image, features = [], [], []
    for row, (picture, instances) in enumerate(zip(stack.split(1), values, strict=True)):
        levels = [
            functional.interpolate(level.float(), size=(CELLS, CELLS), mode="bilinear")
            for level in features_of(encoder, picture)
        ]
        features.append(torch.cat(levels, dim=1)[0].permute(1, 2, 0).cpu().numpy())
        numbers = cv2.resize(instances, (CELLS, CELLS), interpolation=cv2.INTER_NEAREST)
        for number in np.unique(numbers[numbers > 0]):
            own = numbers == number
            if own.sum() >= FEWEST_CELLS and own.mean() <= LARGEST:
                cells.append(own)
                image.append(row)
    masks = np.stack(cells) if cells else np.zeros((0, CELLS, CELLS), dtype=bool)
    return Parts(np.stack(features), tuple(encoder.channels), np.array(image, dtype=np.int64), masks)


def fit_kinds(parts: Parts, *, most: int, seed: int) -> tuple[KindClassifier, Int64[np.ndarray, " I"]] | None:
    """Group the parts into kinds, and learn to tell their cells from each other and from the ground.

    The proposer misses parts, and finds some that are none: cells of the ground that look like a part, and the other
    way round, are excluded and the classifier is fitted again.

    Returns:
        The classifier, and the kind of each part, -1 where its kind was given up; None where there are fewer than two
        kinds.
    """
    kinds = min(most, len(parts.image) // PARTS_A_KIND)
    if kinds < 2:
        return None
    group = KMeans(kinds, n_init=5, random_state=seed).fit_predict(describe_parts(parts))
    ground = ground_cells(parts, random=np.random.default_rng(seed))
    inner = [parts.features[row][cells] for row, cells in zip(parts.image, parts.cells, strict=True)]
    cells = np.concatenate([*inner, ground])
    truth = np.concatenate([np.repeat(group, [len(one) for one in inner]), np.full(len(ground), kinds)])
    kept = np.ones(len(cells), dtype=bool)
    for _ in range(1 + REFITS):
        if len(np.unique(truth[kept])) < 3 or not (truth[kept] == kinds).any():
            return None
        linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(cells[kept], truth[kept])
        kept = (linear.predict(cells) == kinds) == (truth == kinds)
    classifier = KindClassifier(linear.coef_.T.astype(np.float32), linear.intercept_.astype(np.float32))
    number = np.full(kinds, -1, dtype=np.int64)
    number[linear.classes_[:-1]] = np.arange(len(linear.classes_) - 1)
    return classifier, number[group]


def describe_parts(parts: Parts) -> Float64[np.ndarray, "I D"]:
    """Return principal components of each part's mean features, every stride with the same total variance.

    No stride knows how a part is turned better than what it is made of; a mean over the part forgets the former.
    """
    means = np.stack(
        [parts.features[row][cells].mean(axis=0) for row, cells in zip(parts.image, parts.cells, strict=True)]
    )
    strides = np.split(means.astype(np.float64), np.cumsum(parts.channels)[:-1], axis=1)
    return principal_components(
        np.concatenate([unit_variance(one) for one in strides[DESCRIBED_BY]], axis=1), DIMENSIONS
    )


def ground_cells(parts: Parts, *, random: np.random.Generator) -> Float32[np.ndarray, "G C"]:
    """Draw cells of every image that are neither of a part nor next to one."""
    drawn = []
    for row, features in enumerate(parts.features):
        taken = parts.cells[parts.image == row].any(axis=0).astype(np.uint8)
        free = features[cv2.dilate(taken, np.ones((3, 3), dtype=np.uint8)) == 0]
        drawn.append(free[random.permutation(len(free))[:GROUND_CELLS]])
    return np.concatenate(drawn)


def shifts_of(
    classifier: KindClassifier, encoder: FrozenEncoder, stack: UInt8[Tensor, "T 3 S S"], parts: Parts
) -> Float64[np.ndarray, "I K"]:
    """Return the areas of all kinds inside each part and the cells next to it."""
    shifts = np.zeros((len(parts.image), len(classifier.bias) - 1))
    for row in np.unique(parts.image):
        found = kind_probabilities(classifier, features_of(encoder, stack[row : row + 1]))[:-1].double().cpu().numpy()
        for part in np.flatnonzero(parts.image == row):
            around = cv2.dilate(parts.cells[part].astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0
            shifts[part] = found[:, around].sum(axis=1) / CELLS**2
    return shifts


def components_of(
    parts: Parts, of_part: Int64[np.ndarray, " I"], labels: UInt8[np.ndarray, "T H W"], *, kinds: int
) -> Int64[np.ndarray, " K"]:
    """Return the class, in the label maps, of most cells of each kind's parts; 0 where that is the background."""
    votes = np.zeros((kinds, int(labels.max(initial=0)) + 1), dtype=np.int64)
    small = np.stack([cv2.resize(one, (CELLS, CELLS), interpolation=cv2.INTER_NEAREST) for one in labels])
    for row, cells, kind in zip(parts.image, parts.cells, of_part, strict=True):
        if kind >= 0:
            votes[kind] += np.bincount(small[row][cells], minlength=votes.shape[1])
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)


def areas_of(
    classifier: KindClassifier, encoder: FrozenEncoder, images: Images, *, total: int
) -> Float64[np.ndarray, "N K"]:
    """Return the areas of the kinds in each image."""
    measured = on_all_cores(lambda image: kind_areas(classifier, features_of(encoder, image)), images)
    rows = list(progress(measured, total=total, label="areas of parts"))
    return np.stack(rows) if rows else np.zeros((0, len(classifier.bias) - 1))
