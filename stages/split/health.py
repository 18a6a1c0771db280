"""Data health: duplicates across splits, images that are odd in brightness or sharpness, missing masks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt

from stages.core.run.params import Params
from stages.split.inspect_files import ImageFacts, Inspection, MaskFacts
from stages.split.masks import Cover
from stages.split.near_duplicates import NearDuplicateParams, find_links
from stages.split.readers.records import Record

LOG = logging.getLogger(__name__)

TO_STANDARD_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation
MEASURES = ("brightness", "sharpness")


class DataHealthParams(Params):
    """Section `data_health`.

    Attributes:
        outlier: how many robust standard deviations from the median of the training images an outlier is.
        shown: findings of a kind that are named.
    """

    outlier: float = Field(gt=0)
    shown: PositiveInt


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


@dataclass(frozen=True)
class Outlier:
    """One image; `deviation` in robust standard deviations, positive when above the median."""

    image_id: str
    split: str
    measure: str
    value: float
    deviation: float


def measure_health(
    truth: pd.DataFrame,
    records: Sequence[Record],
    files: Inspection,
    near_duplicates: NearDuplicateParams,
    params: DataHealthParams,
) -> dict[str, Any]:
    """Return counts, sizes, duplicates, outliers, and what masks mark, as JSON; the log summarises them.

    Args:
        truth: table of all images.
        records: of the same images.
        files: facts of every image and mask, by path below the data set's root.
        near_duplicates: what counts as nearly the same picture.
        params: what counts as an outlier, and how much is named.
    """
    facts = {name: files.images[path] for name, path in zip(truth["image_id"], truth["source_path"], strict=True)}
    pairs = find_duplicates(truth, facts, near_duplicates)
    rows = list(zip(truth["image_id"], truth["split"], strict=True))
    by_measure = {
        measure: find_outliers(
            rows, [getattr(facts[name], measure) for name, _ in rows], measure=measure, limit=params.outlier
        )
        for measure in MEASURES
    }
    masks = {path: files.masks[path] for record in records if record.is_anomalous for path in record.mask_paths}
    doubtful = doubtful_masks(masks, files.covers)
    outliers = [one for found in by_measure.values() for one in found]
    without_mask = truth[truth["is_anomalous"] & (truth["mask_files"].map(len) == 0)]["image_id"].tolist()
    LOG.info("data health: %d duplicates across splits, %d outliers", sum(pair.leaks for pair in pairs), len(outliers))
    return {
        "images": len(truth),
        "counts": counts_of(truth),
        "sizes": sizes_of(truth),
        "duplicates": summary_of(pairs),
        "outliers": {measure: len(found) for measure, found in by_measure.items()},
        "anomalous_without_mask": len(without_mask),
        "masks": summary_of_masks(masks, doubtful=len(doubtful)),
        "one_colour": sum(one.flaw is not None for one in facts.values()),
        "named": {
            "duplicates": [{**asdict(pair), "splits": list(pair.splits)} for pair in pairs[: params.shown]],
            "outliers": [named_outlier(one) for one in outliers[: params.shown]],
            "anomalous_without_mask": without_mask[: params.shown],
            "doubtful_masks": [{"path": path, "doubt": doubt} for path, doubt in doubtful.items()][: params.shown],
            "one_colour": [name for name, one in facts.items() if one.flaw is not None][: params.shown],
        },
    }


def doubtful_masks(masks: Mapping[str, MaskFacts], covers: Mapping[str, Cover]) -> dict[str, str]:
    """Return what is odd of masks, by their path, and of all masks of an image, by its path."""
    single = {path: mask.doubt for path, mask in masks.items() if mask.doubt is not None}
    return single | {path: cover.doubt for path, cover in sorted(covers.items()) if cover.doubt is not None}


def summary_of_masks(masks: Mapping[str, MaskFacts], *, doubtful: int) -> dict[str, float | int]:
    """Return how many masks there are and are doubtful, and the shares of an image that they mark, in percent."""
    shares = [100 * mask.cover.marked for mask in masks.values()]
    return {
        "count": len(shares),
        "doubtful": doubtful,
        "median_marked": round(float(np.median(shares)), 2) if shares else 0.0,
        "largest_marked": round(max(shares, default=0.0), 2),
    }


def find_duplicates(truth: pd.DataFrame, facts: Mapping[str, ImageFacts], params: NearDuplicateParams) -> list[Pair]:
    """Find equal files and near-duplicates: pairs across splits first, then equal files, else by name.

    Each image of a group is in a pair, but not every two of them are one: under a fixed camera that would be most.
    Equal files are paired with the first of them, and only that one with what is nearly the same.

    Args:
        truth: image_id, split and sha256.
        facts: by image_id.
        params: what counts as nearly the same picture.
    """
    rows = truth.sort_values("image_id").reset_index(drop=True)
    ids, splits, contents = (rows[name].tolist() for name in ("image_id", "split", "sha256"))
    equal: dict[str, list[int]] = {}
    for row, content in enumerate(contents):
        equal.setdefault(content, []).append(row)
    firsts = [same[0] for same in equal.values()]
    links = [(firsts[a], firsts[b]) for a, b in find_links([facts[ids[row]].hash for row in firsts], params)]
    links += [(same[0], row) for same in equal.values() for row in same[1:]]
    pairs = [Pair(ids[a], ids[b], (splits[a], splits[b]), contents[a] == contents[b]) for a, b in links]
    return sorted(pairs, key=lambda pair: (not pair.leaks, not pair.exact, pair.first, pair.second))


def find_outliers(
    rows: Sequence[tuple[str, str]], values: Sequence[float], *, measure: str, limit: float
) -> list[Outlier]:
    """Find images whose value is more than `limit` robust standard deviations from the training images' median.

    Args:
        rows: (image_id, split) of each value.
        values: of one measure.
        measure: its name.
        limit: in robust standard deviations.

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


def counts_of(truth: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count images by split and kind."""
    return {
        str(split): {str(kind): int(count) for kind, count in rows["kind"].value_counts().sort_index().items()}
        for split, rows in truth.groupby("split", sort=True)
    }


def sizes_of(truth: pd.DataFrame) -> dict[str, int]:
    """Count images by size, "width x height", the most frequent first."""
    sizes = (truth["width"].astype(str) + " x " + truth["height"].astype(str)).value_counts()
    return {str(size): int(count) for size, count in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))}


def summary_of(pairs: Sequence[Pair]) -> dict[str, int]:
    """Count pairs."""
    return {
        "exact": sum(pair.exact for pair in pairs),
        "near": sum(not pair.exact for pair in pairs),
        "exact_across_splits": sum(pair.exact and pair.leaks for pair in pairs),
        "near_across_splits": sum(not pair.exact and pair.leaks for pair in pairs),
    }


def named_outlier(one: Outlier) -> dict[str, Any]:
    """Return an outlier as JSON, rounded."""
    return {**asdict(one), "value": round(one.value, 3), "deviation": round(one.deviation, 2)}
