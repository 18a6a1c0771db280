"""Score all images of a call, one after the other."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.image_files.reading import read_image
from stages.core.running.console import progress
from stages.core.running.errors import UserError
from stages.predict.heatmaps import HEATMAPS, heatmap_names, write_heatmap
from stages.predict.inputs import Inputs, Unreadable
from stages.predict.parts import Parts
from stages.predict.scoring import predict

LOG = logging.getLogger(__name__)
NAMED = 10  # unreadable files that the log names


@dataclass(frozen=True)
class Outcome:
    """Rows of scores.csv, and what could not be read."""

    rows: tuple[dict[str, Any], ...]
    unreadable: tuple[Unreadable, ...]

    def __str__(self) -> str:
        anomalous = sum(row["is_anomalous"] for row in self.rows)
        median = np.median([row["milliseconds"] for row in self.rows])
        return (
            f"{len(self.rows)} images scored, {anomalous} anomalous, {len(self.unreadable)} unreadable, "
            f"median {median:.0f} ms an image"
        )


def score_images(parts: Parts, inputs: Inputs, *, heatmaps: Path) -> Outcome:
    """Score each image and draw its heatmap into a folder; what cannot be read is left out and named at the end.

    Raises:
        UserError: none of the images can be read.
    """
    threshold = parts.calibration.threshold
    LOG.info(
        "anomalous is a score above %.4g (false alarms: %.3g of normal images asked for, %.3g kept)",
        threshold.value, threshold.false_alarm_budget, threshold.attainable_false_alarm_rate,
    )  # fmt: skip
    rows, unreadable = [], list(inputs.unreadable)
    named = zip(inputs.images, heatmap_names(inputs.images), strict=True)
    for path, name in progress(named, total=len(inputs.images), label="images"):
        try:
            rows.append(score_file(parts, path, heatmap=heatmaps / name))
        except UserError as error:
            unreadable.append(Unreadable(path, str(error).removeprefix(f"{path}: ")))
    listed = [f"{entry.path}: {entry.error}" for entry in unreadable]
    more = f"and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    if not rows:
        raise UserError("; ".join(["no image could be read", *listed[:NAMED], *filter(None, [more])]))
    for line in [*listed[:NAMED], *filter(None, [more])]:
        LOG.warning("unreadable: %s", line)
    return Outcome(tuple(rows), tuple(unreadable))


def score_file(parts: Parts, path: Path, *, heatmap: Path) -> dict[str, Any]:
    """One row of scores.csv; its milliseconds run from opening the file to the score, without the heatmap.

    Raises:
        UserError: the file cannot be read.
    """
    started = time.perf_counter()
    picture = read_image(path)
    prediction = predict(parts, picture)
    seconds = time.perf_counter() - started
    write_heatmap(heatmap, picture, prediction.anomaly_map, parts.calibration)
    return {
        "path": str(path),
        "score": prediction.score,
        "threshold": parts.calibration.threshold.value,
        "is_anomalous": parts.calibration.calls(prediction.score),
        "display_score": round(parts.calibration.display(prediction.score), 6),
        **prediction.branches,
        "heatmap": f"{HEATMAPS}/{heatmap.name}",
        "milliseconds": round(1000 * seconds, 1),
    }
