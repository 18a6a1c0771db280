"""All findings about a category's data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from stages.data_health.duplicates import Pair, find_pairs
from stages.data_health.look import Look
from stages.data_health.outliers import Outlier, find_outliers

MEASURES = ("brightness", "sharpness")


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
