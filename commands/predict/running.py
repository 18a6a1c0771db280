"""Score all images of a call, one after the other, and write each result as it comes, whatever judges them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from commands.predict.inputs import Inputs, Unreadable, shortened
from commands.predict.results import (
    HEATMAPS,
    SCORES,
    SKIPPED,
    UNREADABLE,
    append_row,
    heatmap_names,
    results_folder,
    start_table,
)
from commands.predict.resuming import Earlier, find_earlier
from commands.verbs import Closing
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.heatmaps import small_heatmap
from stages.core.runtime.pictures import read_picture, unlike_training
from stages.core.runtime.reading import Window

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

LOG = logging.getLogger(__name__)
SIZE = 512  # pixels of a heatmap's longer side; the map behind it is coarser
QUALITY = 90  # of its JPEG
NOTES = {"size_note": "size or aspect ratio", "kind_note": "kind or depth"}  # columns, and what they are about
NOT_COVERED = (
    "logical anomalies (missing, extra or swapped parts) are not covered for %s: %s has no active branch that looks at "
    "components; the report says why, and what would help"
)
NOT_ALL = 2  # exit code when there is an image, or a folder, that could not be read


class Judged(Protocol):
    """What a judge finds in a picture; see `stages.export.parts.Prediction`."""

    @property
    def score(self) -> float:
        """Of the picture."""

    @property
    def branches(self) -> Mapping[str, float | None]:
        """Scores of the branches."""

    @property
    def anomaly_map(self) -> np.ndarray:
        """Covers the whole picture."""


class Judge(Protocol):
    """What judges pictures: a product's trained parts, or a bundle."""

    @property
    def calibration(self) -> Calibration:
        """What turns scores into verdicts."""

    @property
    def grey_range(self) -> Window | None:
        """What images of more than 8 bits are spread over."""

    @property
    def covers_components(self) -> bool:
        """Whether a branch looks at components."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Product ("category"), "method", and what identifies the trained parts."""

    def judge(self, picture: UInt8[np.ndarray, "H W 3"]) -> Judged:
        """Judge a picture of `read_picture`."""


def score_given(load: Callable[[], Judge], inputs: Inputs, *, output: Path, overwrite: bool) -> Closing:
    """Score pictures, and put the folder of results in place when all were tried.

    Args:
        load: makes what judges them, once it is known that results can be written.
        inputs: the pictures.
        output: folder to make for the results.
        overwrite: whether earlier results there may be replaced.

    Returns:
        The counts, and NOT_ALL if something could not be read.

    Raises:
        UserError: no image can be read, or the folder may not be written.
    """
    with results_folder(output, overwrite=overwrite) as results:
        judge = load()
        results.about |= judge.about
        results.mark()
        earlier = find_earlier(results.target, results.folder, about=judge.about)
        outcome = score_images(judge, inputs, folder=results.folder, earlier=earlier)
        results.about |= outcome.counts()
    if not judge.covers_components:
        LOG.warning(NOT_COVERED, judge.about["category"], judge.about["method"])
    return Closing(str(outcome), NOT_ALL if outcome.unreadable else 0)


@dataclass
class Outcome:
    """What a run has come to so far.

    Attributes:
        milliseconds: of each image that was scored.
        anomalous, unsure: how many of them.
        unlike: how many of them differ from the training images, by the column that says so.
        unreadable: what could not be read.
        skipped: how many files and folders were passed over.
    """

    skipped: int
    milliseconds: list[float] = field(default_factory=list)
    anomalous: int = 0
    unsure: int = 0
    unlike: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NOTES, 0))
    unreadable: list[Unreadable] = field(default_factory=list)

    def __str__(self) -> str:
        median = np.median(self.milliseconds)
        return f"{', '.join(f'{n} {name}' for name, n in self.counts().items())}, median {median:.0f} ms an image"

    def count(self, row: Mapping[str, Any]) -> None:
        """Count a row, as it was made or as text from a table."""
        self.milliseconds.append(float(row["milliseconds"]))
        self.anomalous += str(row["is_anomalous"]) == str(True)
        self.unsure += str(row["unsure"]) == str(True)
        for note in self.unlike:
            self.unlike[note] += row[note] not in (None, "")

    def counts(self) -> dict[str, int]:
        """Return the numbers by what they count."""
        return {
            "images scored": len(self.milliseconds),
            "anomalous": self.anomalous,
            "unsure": self.unsure,
            "unreadable": len(self.unreadable),
            "skipped": self.skipped,
        }


def score_images(judge: Judge, inputs: Inputs, *, folder: Path, earlier: Earlier) -> Outcome:
    """Score each image and draw its heatmap; every row is written at once, also that of what cannot be read.

    Args:
        judge: of the pictures.
        inputs: what to score; what was found unreadable and skipped is written, too.
        folder: for the tables and the heatmaps.
        earlier: runs that were killed, whose rows need not be made again.

    Raises:
        UserError: none of the images can be read.
    """
    threshold = judge.calibration.threshold
    LOG.info(
        "anomalous is a score above %.4g (false alarms: %.3g of normal images asked for, %.3g kept); rows go to %s",
        threshold.value, threshold.false_alarm_budget, threshold.attainable_false_alarm_rate, folder,
    )  # fmt: skip
    outcome = start_tables(folder, inputs)
    named = zip(inputs.images, heatmap_names(inputs.images), strict=True)
    for path, name in progress(named, total=len(inputs.images), label="images"):
        known = earlier.take(path, folder / HEATMAPS / name)
        try:
            row = known or score_file(judge, path, heatmap=folder / HEATMAPS / name)
        except UserError as error:
            note_unreadable(folder, outcome, Unreadable(path, str(error).removeprefix(f"{path}: ")))
            continue
        append_row(folder / SCORES, row)
        outcome.count(row)
    for note, count in outcome.unlike.items():
        if count:
            LOG.warning(
                "%d images differ in %s from the training images, which may change their scores: see %s in %s",
                count, NOTES[note], note, SCORES,
            )  # fmt: skip
    lines = shortened([f"{entry.path}: {entry.error}" for entry in outcome.unreadable])
    if not outcome.milliseconds:
        raise UserError("; ".join(["no image could be read", *lines]))
    for line in lines:
        LOG.warning("unreadable: %s", line)
    for line in shortened([f"{entry.path} {entry.reason}" for entry in inputs.skipped]):
        LOG.info("skipped: %s", line)
    return outcome


def start_tables(folder: Path, inputs: Inputs) -> Outcome:
    """Write what is known before the first image is read."""
    (folder / HEATMAPS).mkdir()
    start_table(folder / UNREADABLE, ["path", "error"])
    start_table(folder / SKIPPED, ["path", "reason"])
    outcome = Outcome(len(inputs.skipped))
    for entry in inputs.unreadable:
        note_unreadable(folder, outcome, entry)
    for one in inputs.skipped:
        append_row(folder / SKIPPED, {"path": str(one.path), "reason": one.reason})
    return outcome


def note_unreadable(folder: Path, outcome: Outcome, entry: Unreadable) -> None:
    """Count and write what could not be read."""
    outcome.unreadable.append(entry)
    append_row(folder / UNREADABLE, {"path": str(entry.path), "error": entry.error})


def score_file(judge: Judge, path: Path, *, heatmap: Path) -> dict[str, Any]:
    """One row of scores.csv; its milliseconds run from opening the file to the score, without the heatmap.

    Raises:
        UserError: the file cannot be read, or its score is no number.
    """
    started = time.perf_counter()
    picture = read_picture(path, judge.grey_range)
    prediction = judge.judge(picture)
    seconds = time.perf_counter() - started
    if not math.isfinite(prediction.score):
        raise UserError(f"{path}: its score is {prediction.score}: look at the picture")
    calibration, sureness, sizes = judge.calibration, judge.calibration.sureness, judge.calibration.sizes
    write_heatmap(heatmap, picture, prediction.anomaly_map, calibration)
    return {
        "path": str(path),
        "score": prediction.score,
        "threshold": calibration.threshold.value,
        "is_anomalous": calibration.calls(prediction.score),
        "display_score": round(calibration.display(prediction.score), 6),
        "p_value": None if sureness is None else round(sureness.p_value(prediction.score), 6),
        "unsure": None if sureness is None else sureness.unsure(prediction.score),
        **prediction.branches,
        "size_note": None if sizes is None else sizes.difference(picture.shape[1], picture.shape[0]),
        "kind_note": unlike_training(path, judge.grey_range),
        "heatmap": f"{HEATMAPS}/{heatmap.name}",
        "milliseconds": round(1000 * seconds, 1),
    }


def write_heatmap(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], calibration: Calibration
) -> None:
    """Draw the map over the picture in the colour range that evaluation uses too."""
    overlay = small_heatmap(picture, anomaly_map, size=SIZE, low=calibration.low, high=calibration.high)
    Image.fromarray(overlay).save(path, format="JPEG", quality=QUALITY)
