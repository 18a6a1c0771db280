"""Score all images of a call, one after the other, and write the results."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from commands.predict.inputs import Inputs, Unreadable, find_images
from commands.predict.model import Parts, load_parts, predict
from commands.predict.parts import part_files
from commands.predict.results import HEATMAPS, SCORES, UNREADABLE, heatmap_names, results_folder, write_csv
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.images.overlays import fit_within, heatmap_overlay
from stages.core.images.reading import read_like_training
from stages.core.io.calibration import Calibration
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.params import load_value

LOG = logging.getLogger(__name__)
SIZE = 512  # pixels of a heatmap's longer side; the map behind it is coarser
QUALITY = 90  # of its JPEG
NAMED = 10  # unreadable files that the log names


def predict_images(given: Sequence[Path], *, category: str, output: Path, overwrite: bool) -> str:
    """Score the images of some files and folders with a category's trained parts.

    Args:
        given: files and folders, at least one.
        category: a key of `categories` in params.yaml.
        output: folder to make for the results.
        overwrite: whether earlier results there may be replaced.

    Raises:
        UserError: the parts are missing or damaged, no image can be read, or the folder may not be written.
    """
    files = part_files(category)
    inputs = find_images(given, output=output)
    with results_folder(output, overwrite=overwrite) as folder:
        seed_everything(load_value("seed"))  # nothing is drawn, but kernels are chosen as in training
        parts = load_parts(files, device=pick_device())
        with replacing_folder(folder / HEATMAPS) as heatmaps:
            outcome = score_images(parts, inputs, heatmaps=heatmaps)
        write_tables(folder, outcome)
    return str(outcome)


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
    """Score each image and draw its heatmap into a folder; what cannot be read is excluded and named at the end.

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
    picture = read_like_training(path, parts.grey_range)
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


def write_heatmap(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], calibration: Calibration
) -> None:
    """Draw the map over the picture in the colour range that evaluation uses too."""
    image = fit_within(picture, SIZE)
    overlay = heatmap_overlay(image, anomaly_map, low=calibration.low, high=calibration.high)
    Image.fromarray(overlay).save(path, format="JPEG", quality=QUALITY)


def write_tables(folder: Path, outcome: Outcome) -> None:
    """Write scores.csv, floats in full precision, and unreadable.csv (path, error), which may have no rows.

    Both are UTF-8; a file name that is not keeps its bytes.
    """
    write_csv(folder / SCORES, outcome.rows, columns=list(outcome.rows[0]))
    write_csv(folder / UNREADABLE, [asdict(entry) for entry in outcome.unreadable], columns=["path", "error"])
