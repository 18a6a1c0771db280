"""Judge every proposer by what its parts let one see of edited pictures: a short stand-in for the stages that follow.

The classes of a proposer's parts, a linear classifier of what the frozen encoder sees in each cell, and distances of
class areas take the places of `cluster`, `segmentation` and `histogram`. They are fitted on training images and judge
validation images and pictures made from these, so that nothing is judged by what it was fitted on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8, UInt16
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from torch.nn import functional

from stages.aecsad.model.describe import InstanceTable, describe_instances, measure_instances
from stages.aecsad.model.edited import EditedPictures, Seen, rows_of_sources, see_edits
from stages.aecsad.model.modes import by_frequency, find_classes
from stages.aecsad.model.patch_histogram import fit_histograms
from stages.aecsad.pseudo_label.choice import Pictures
from stages.aecsad.pseudo_label.classical.clusters import encode_cells
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.run.console import progress
from stages.core.run.parallel import on_all_cores
from stages.core.runtime.histograms import histogram_distances

CELLS = 64  # a side: the finest features of the encoder at 256 pixels
STEP = 2  # every so many rows and columns of cells fit the classifier
GRIDS = (1, 2)  # as published
MOST_IMAGES = 200  # normal training images that class areas are fitted on
DIMENSIONS = 6  # of a part's appearance
QUANTILE = 0.2  # of all parts are near each other in a class, see `find_classes`
SAMPLE = 500  # parts that give the classes
MIN_CLASS_SHARE = 0.3  # parts an image, below which a class is dropped
FEWEST_CELLS = 10  # of a class, below which it is ground
SHRINKAGE = 1e-3  # of the classifier's covariance


def judge_proposers(
    trials: Mapping[str, Proposal], pictures: Pictures, edited: EditedPictures, *, encoder_name: str, seed: int
) -> dict[str, Seen]:
    """Return what each proposer lets one see of the edited pictures, on the better of GRIDS.

    Args:
        trials: proposals of `pictures.trial`.
        edited: made from `pictures.validation`.
        encoder_name: of the frozen encoder.
        seed: of the parts that give the classes.
    """
    rows = rows_of_sources(edited, pictures.image_ids)
    nothing = see_edits(np.zeros(len(pictures.validation)), np.zeros(len(rows)), rows=rows, kinds=edited.kinds)
    if not len(rows) or len(pictures.train) < 2:
        return dict.fromkeys(trials, nothing)
    encoder = FrozenEncoder(encoder_name).to(pick_device())
    classifiers = fit_classifiers(trials, pictures.trial, encoder, seed=seed)
    if not classifiers:
        return dict.fromkeys(trials, nothing)
    spread = np.linspace(0, len(pictures.train) - 1, min(len(pictures.train), MOST_IMAGES)).round().astype(np.int64)
    changed_pictures = torch.from_numpy(edited.values).permute(0, 3, 1, 2).contiguous()
    stacks = [pictures.train[spread], pictures.validation, changed_pictures]
    train, normal, changed = (label_maps(encoder, classifiers, stack) for stack in stacks)
    return {
        name: judge(train[name], normal[name], changed[name], rows=rows, kinds=edited.kinds)
        if name in classifiers
        else nothing
        for name in trials
    }


@dataclass(frozen=True)
class Classifier:
    """Linear discriminants of cells: the class with the largest f W + b."""

    matrix: Float32[np.ndarray, "C K"]
    bias: Float32[np.ndarray, " K"]
    classes: UInt8[np.ndarray, " K"]


def fit_classifiers(
    trials: Mapping[str, Proposal], images: UInt8[Tensor, "T 3 H W"], encoder: FrozenEncoder, *, seed: int
) -> dict[str, Classifier]:
    """Fit a linear classifier of cells to each proposer's classes; none where there is no class but the ground."""
    encoded = on_all_cores(lambda image: encode_cells(encoder, image, CELLS).numpy(), images.split(1))
    features = np.concatenate(list(progress(encoded, total=len(images), label="cells of the trial")))
    photos = images.permute(0, 2, 3, 1).contiguous().numpy()
    classifiers = {}
    for name, trial in trials.items():
        classes = class_cells(trial, features, photos, seed=seed)[:, ::STEP, ::STEP].ravel()
        classes = np.where(np.bincount(classes)[classes] < FEWEST_CELLS, 0, classes)
        if len(np.unique(classes)) > 1:
            linear = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
            linear.fit(features[:, ::STEP, ::STEP].reshape(-1, features.shape[-1]), classes)
            classifiers[name] = as_classifier(linear)
    return classifiers


def as_classifier(linear: LinearDiscriminantAnalysis) -> Classifier:
    """Return the fitted discriminants; of two classes scikit-learn keeps the difference only."""
    matrix, bias = linear.coef_.T.astype(np.float32), linear.intercept_.astype(np.float32)
    if len(linear.classes_) == 2:
        matrix, bias = np.hstack([np.zeros_like(matrix), matrix]), np.concatenate([np.zeros(1, np.float32), bias])
    return Classifier(matrix, bias, linear.classes_)


def class_cells(
    trial: Proposal, features: Float32[np.ndarray, "T c c C"], photos: UInt8[np.ndarray, "T H W 3"], *, seed: int
) -> UInt8[np.ndarray, "T c c"]:
    """Return the class of the part at the middle of each cell: the proposer's kind, or a mode of the descriptors."""
    table = measure_instances(trial.values, photos)
    kinds = trial.kinds[table.image, table.number].astype(np.int64)
    cells = np.stack([cv2.resize(one, (CELLS, CELLS), interpolation=cv2.INTER_NEAREST) for one in trial.values])
    if len(kinds) >= 2 and not kinds.all():
        points = describe_instances(
            table, mean_features(table, cells, features, size=photos.shape[1]), dimensions=DIMENSIONS
        )
        kinds = find_classes(points, bandwidth=None, quantile=QUANTILE, sample=SAMPLE, seed=seed)
    classes = by_frequency(kinds, min_count=MIN_CLASS_SHARE * len(photos))
    of_instance = np.zeros(trial.kinds.shape, dtype=np.uint8)
    of_instance[table.image, table.number] = classes
    return np.asarray(of_instance[np.arange(len(cells))[:, None, None], cells])


def mean_features(
    table: InstanceTable, cells: UInt16[np.ndarray, "T c c"], features: Float32[np.ndarray, "T c c C"], *, size: int
) -> Float32[np.ndarray, "P C"]:
    """Return each part's mean features; those at its centre where it holds the middle of no cell."""
    means = []
    for image, number, centre in zip(table.image, table.number, table.centre, strict=True):
        inside = cells[image] == number
        column, row = np.clip((centre * CELLS / size).astype(np.int64), 0, CELLS - 1)
        means.append(features[image][inside].mean(axis=0) if inside.any() else features[image, row, column])
    return np.stack(means)


def label_maps(
    encoder: FrozenEncoder, classifiers: Mapping[str, Classifier], images: UInt8[Tensor, "N 3 H W"]
) -> dict[str, UInt8[np.ndarray, "N c c"]]:
    """Return the classes that each classifier sees in each cell; every image is encoded once.

    A linear map and a bilinear resize may change places: the few discriminants are resized, not the many features.
    """
    maps = {name: np.zeros((len(images), CELLS, CELLS), dtype=np.uint8) for name in classifiers}
    device = encoder.mean.device
    matrices = torch.from_numpy(np.hstack([one.matrix for one in classifiers.values()]))
    of_levels = matrices.to(device).split(list(encoder.channels))

    def discriminants_of(image: UInt8[Tensor, "1 3 H W"]) -> Float32[np.ndarray, "K c c"]:
        levels = encoder.recall(to_float(image.to(device)))
        resized = [
            functional.interpolate(
                torch.einsum("bchw,ck->bkhw", level.float(), matrix), size=(CELLS, CELLS), mode="bilinear"
            )
            for level, matrix in zip(levels, of_levels, strict=True)
        ]
        return np.asarray(torch.stack(resized).sum(dim=0)[0].cpu().numpy())

    found = on_all_cores(discriminants_of, images.split(1))
    for row, discriminants in enumerate(progress(found, total=len(images), label="edits judged")):
        start = 0
        for name, one in classifiers.items():
            own = discriminants[start : start + len(one.bias)] + one.bias[:, None, None]
            maps[name][row] = one.classes[own.argmax(axis=0)]
            start += len(one.bias)
    return maps


def judge(
    train: UInt8[np.ndarray, "N c c"],
    normal: UInt8[np.ndarray, "V c c"],
    edited: UInt8[np.ndarray, "M c c"],
    *,
    rows: Int64[np.ndarray, " M"],
    kinds: Sequence[str],
) -> Seen:
    """Return what distances of class areas tell apart, on the better of GRIDS."""
    num_classes = 1 + max(int(maps.max()) for maps in (train, normal, edited))
    seen = []
    for grid in GRIDS:
        model = fit_histograms(train, grid=grid, num_classes=num_classes, shrinkage=0.0)
        distances = (histogram_distances(model, maps) for maps in (normal, edited))
        seen.append(see_edits(*distances, rows=rows, kinds=kinds))
    return max(seen, key=lambda one: one.auroc)
