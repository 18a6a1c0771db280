"""The metrics file: small, and in the same order each time, so that commits can be compared."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.core.artifacts.atomic import replacing_file
from stages.core.artifacts.calibration import Threshold
from stages.evaluation.pixel_metrics import images_without_mask
from stages.evaluation.ranking import (
    GROUPS,
    anomalies,
    average_precision,
    by_defect_type,
    by_group,
    oracle_f1_max,
)
from stages.evaluation.thresholds import decision_metrics
from stages.evaluation.undefined import Measured, tidy


def summarise(
    test: pd.DataFrame, *, branches: Sequence[str], threshold: Threshold, pixel: dict[str, dict[str, Measured]]
) -> dict[str, Any]:
    """All metrics of a method on a category, nested by name; undefined ones are null and listed under "reasons"."""
    normal = test[~test["is_anomalous"]]["score"].to_numpy(dtype=np.float64)
    scores = {group: anomalies(test, group)["score"].to_numpy(dtype=np.float64) for group in GROUPS}
    return tidy(
        {
            "images": image_counts(test),
            "image_auroc": by_group(test, "score"),
            "average_precision": {group: average_precision(normal, scores[group], name=group) for group in GROUPS},
            "defect_type_auroc": by_defect_type(test),
            "pixel_auroc": pixel["auroc"],
            "aupro": pixel["aupro"],
            "threshold": asdict(threshold),
            "at_threshold": decision_metrics(test, threshold.value),
            "branches": {name: by_group(test, name) for name in branches},
            "oracle_f1_max": oracle_f1_max(normal, scores["all"]),
        }
    )


def image_counts(test: pd.DataFrame) -> dict[str, int]:
    """Numbers of test images that the metrics stand on."""
    return {
        "normal": int((~test["is_anomalous"]).sum()),
        **{group: len(anomalies(test, group)) for group in GROUPS},
        "anomalous_without_mask": images_without_mask(test),
    }


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write indented JSON."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
