"""Data health: duplicates across splits, images that are odd in brightness or sharpness, missing masks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from pydantic import Field, PositiveInt

from stages.core.images.reading import read_image
from stages.core.run.console import progress
from stages.core.run.params import Params
from stages.split.similarity import Likeness, LikenessParams, find_alike, likeness_of

LOG = logging.getLogger(__name__)

TO_STANDARD_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation
MEASURES = ("brightness", "sharpness")


class DataHealthParams(Params):
    """Section `data_health`.

    Attributes:
        outlier: how many robust standard deviations from the median of the training images an outlier lies.
        shown: findings of a kind that are named.
    """

    outlier: float = Field(gt=0)
    shown: PositiveInt


@dataclass(frozen=True)
class Look:
    """Of one image.

    Attributes:
        brightness: mean grey value, 0 to 255.
        sharpness: variance of the Laplacian of the grey values at 256 px; low when blurred.
    """

    brightness: float
    sharpness: float
    likeness: Likeness


def look_at(image: UInt8[np.ndarray, "H W 3"]) -> Look:
    """Measure an image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    common = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA)
    sharpness = float(cv2.Laplacian(common.astype(np.float32), cv2.CV_32F).var())
    return Look(float(grey.mean()), sharpness, likeness_of(grey))


@dataclass(frozen=True)
class Pair:
    """Two images that are alike; `exact` when their files are equal byte by byte."""

    first: str
    second: str
    splits: tuple[str, str]
    exact: bool

    @property
    def leaks(self) -> bool:
        """Whether an image for judging has also been learned or calibrated on."""
        return self.splits[0] != self.splits[1]


def find_pairs(
    truth: pd.DataFrame, looks: Mapping[str, Look], *, hash_distance: int, pixel_difference: float
) -> list[Pair]:
    """Pairs of equal files, then of near-duplicates (`find_alike`); those across splits first, else by name."""
    rows = truth.sort_values("image_id").reset_index(drop=True)
    ids, splits, hashes = (rows[name].tolist() for name in ("image_id", "split", "sha256"))
    alike = find_alike(
        [looks[name].likeness for name in ids], hash_distance=hash_distance, pixel_difference=pixel_difference
    )
    pairs = [Pair(ids[a], ids[b], (splits[a], splits[b]), hashes[a] == hashes[b]) for a, b in alike]
    return sorted(pairs, key=lambda pair: (not pair.leaks, not pair.exact, pair.first, pair.second))


@dataclass(frozen=True)
class Outlier:
    """One image; `deviation` in robust standard deviations, positive when above the median."""

    image_id: str
    split: str
    measure: str
    value: float
    deviation: float


def find_outliers(
    rows: Sequence[tuple[str, str]], values: Sequence[float], *, measure: str, limit: float
) -> list[Outlier]:
    """Images whose value lies more than `limit` robust standard deviations from the training images' median.

    Args:
        rows: (image_id, split) of each value.

    Returns:
        The farthest first; none where there is no training image, or all of them have the same value.
    """
    measured = np.asarray(values, dtype=np.float64)
    training = measured[[split == "train" for _, split in rows]]
    if not len(training):
        return []
    median = float(np.median(training))
    spread = TO_STANDARD_DEVIATION * float(np.median(np.abs(training - median)))
    if spread == 0:
        return []
    deviations = (measured - median) / spread
    found = [
        Outlier(*rows[index], measure, float(measured[index]), float(deviations[index]))
        for index in np.flatnonzero(np.abs(deviations) > limit).tolist()
    ]
    return sorted(found, key=lambda outlier: -abs(outlier.deviation))


def measure_health(
    truth: pd.DataFrame, dataset: Path, likeness: LikenessParams, params: DataHealthParams
) -> dict[str, Any]:
    """Look at every image of the data set, and log how much was found; see `check_health`.

    Raises:
        UserError: an image cannot be read.
    """
    rows = progress(list(zip(truth["image_id"], truth["source_path"], strict=True)), total=len(truth), label="health")
    looks = {image_id: look_at(read_image(dataset / source)) for image_id, source in rows}
    health = check_health(truth, looks, **likeness.model_dump(), **params.model_dump())
    pairs = health["duplicates"]
    across = pairs["exact_across_splits"] + pairs["near_across_splits"]
    LOG.info("data health: %d duplicates across splits, %d outliers", across, sum(health["outliers"].values()))
    return health


def check_health(
    truth: pd.DataFrame,
    looks: Mapping[str, Look],
    *,
    hash_distance: int,
    pixel_difference: float,
    outlier: float,
    shown: int,
) -> dict[str, Any]:
    """Counts, sizes, duplicates, outliers and missing masks, as JSON.

    The limits are those of `LikenessParams` and `DataHealthParams`.

    Args:
        looks: of every image, by image_id.
    """
    pairs = find_pairs(truth, looks, hash_distance=hash_distance, pixel_difference=pixel_difference)
    rows = list(zip(truth["image_id"], truth["split"], strict=True))
    outliers = [
        one
        for measure in MEASURES
        for one in find_outliers(
            rows, [getattr(looks[name], measure) for name, _ in rows], measure=measure, limit=outlier
        )
    ]
    without_mask = truth[truth["is_anomalous"] & (truth["mask_files"].map(len) == 0)]["image_id"].tolist()
    return {
        "images": len(truth),
        "counts": counts_of(truth),
        "sizes": sizes_of(truth),
        "duplicates": summary_of(pairs),
        "outliers": {
            measure: sum(one.measure == measure for one in outliers) for measure in ("brightness", "sharpness")
        },
        "anomalous_without_mask": len(without_mask),
        "named": {
            "duplicates": [named_pair(pair) for pair in pairs[:shown]],
            "outliers": [named_outlier(one) for one in outliers[:shown]],
            "anomalous_without_mask": without_mask[:shown],
        },
    }


def counts_of(truth: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Images by split and kind."""
    return {
        str(split): {str(kind): int(count) for kind, count in rows["kind"].value_counts().sort_index().items()}
        for split, rows in truth.groupby("split", sort=True)
    }


def sizes_of(truth: pd.DataFrame) -> dict[str, int]:
    """Images by size, "width x height", the most frequent first."""
    sizes = (truth["width"].astype(str) + " x " + truth["height"].astype(str)).value_counts()
    return {str(size): int(count) for size, count in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))}


def summary_of(pairs: Sequence[Pair]) -> dict[str, int]:
    """Numbers of pairs."""
    return {
        "exact": sum(pair.exact for pair in pairs),
        "near": sum(not pair.exact for pair in pairs),
        "exact_across_splits": sum(pair.exact and pair.leaks for pair in pairs),
        "near_across_splits": sum(not pair.exact and pair.leaks for pair in pairs),
    }


def named_pair(pair: Pair) -> dict[str, Any]:
    """A pair as JSON."""
    return {**asdict(pair), "splits": list(pair.splits)}


def named_outlier(one: Outlier) -> dict[str, Any]:
    """An outlier as JSON, rounded."""
    return {**asdict(one), "value": round(one.value, 3), "deviation": round(one.deviation, 2)}
