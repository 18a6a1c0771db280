"""Score all images of a call, one after the other, and write each result as it comes."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from commands.predict.inputs import Inputs, Unreadable, find_images, shortened
from commands.predict.model import Parts, load_parts, predict
from commands.predict.parts import trained_files
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
from commands.verbs import Closing
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.images.overlays import fit_within, heatmap_overlay
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.params import load_value
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.depth import is_deep
from stages.core.runtime.kinds import DICOM, image_kind
from stages.core.runtime.reading import SMALLEST_SIDE, Window, open_image, read_like_training
from stages.split.inspect_files import TRANSPARENT, is_transparent, number_of_frames

LOG = logging.getLogger(__name__)
SIZE = 512  # pixels of a heatmap's longer side; the map behind it is coarser
QUALITY = 90  # of its JPEG
NOTES = {"size_note": "size or aspect ratio", "kind_note": "kind or depth"}  # columns, and what they are about
NOT_COVERED = (
    "logical anomalies (missing, extra or swapped parts) are not covered for %s: %s has no active branch that looks at "
    "components; the report says why, and what would help"
)
NOT_ALL = 2  # exit code when there is an image, or a folder, that could not be read


def predict_images(
    given: Sequence[Path], *, category: str, output: Path, overwrite: bool, method: str | None = None
) -> Closing:
    """Score the images of some files and folders with a category's trained parts.

    Args:
        given: files and folders, at least one.
        category: a key of `categories` in params.yaml.
        output: folder to make for the results.
        overwrite: whether earlier results there may be replaced.
        method: whose parts; the first of `commands.predict.parts.RECIPES` that is on where None.

    Returns:
        The counts, and NOT_ALL if something could not be read.

    Raises:
        UserError: the parts are missing or damaged, no image can be read, or the folder may not be written.
    """
    files = trained_files(category, method)
    inputs = find_images(given, output=output)
    with results_folder(output, overwrite=overwrite) as results:
        seed_everything(load_value("seed"))  # nothing is drawn, but kernels are chosen as in training
        parts = load_parts(files, device=pick_device())
        outcome = score_images(parts, inputs, folder=results.folder)
        results.about |= {
            "category": category,
            "method": files.method,
            "parts": dict(parts.fingerprints),
            **outcome.counts(),
        }
    if parts.histogram is None:
        LOG.warning(NOT_COVERED, category, files.method)
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

    def counts(self) -> dict[str, int]:
        """Return the numbers by what they count."""
        return {
            "images scored": len(self.milliseconds),
            "anomalous": self.anomalous,
            "unsure": self.unsure,
            "unreadable": len(self.unreadable),
            "skipped": self.skipped,
        }


def score_images(parts: Parts, inputs: Inputs, *, folder: Path) -> Outcome:
    """Score each image and draw its heatmap; every row is written at once, also that of what cannot be read.

    Args:
        parts: trained.
        inputs: what to score; what was found unreadable and skipped is written, too.
        folder: for the tables and the heatmaps.

    Raises:
        UserError: none of the images can be read.
    """
    threshold = parts.calibration.threshold
    LOG.info(
        "anomalous is a score above %.4g (false alarms: %.3g of normal images asked for, %.3g kept); rows go to %s",
        threshold.value, threshold.false_alarm_budget, threshold.attainable_false_alarm_rate, folder,
    )  # fmt: skip
    outcome = start_tables(folder, inputs)
    named = zip(inputs.images, heatmap_names(inputs.images), strict=True)
    for path, name in progress(named, total=len(inputs.images), label="images"):
        try:
            row = score_file(parts, path, heatmap=folder / HEATMAPS / name)
        except UserError as error:
            note_unreadable(folder, outcome, Unreadable(path, str(error).removeprefix(f"{path}: ")))
            continue
        append_row(folder / SCORES, row)
        outcome.milliseconds.append(row["milliseconds"])
        outcome.anomalous += row["is_anomalous"]
        outcome.unsure += bool(row["unsure"])
        for note in outcome.unlike:
            outcome.unlike[note] += row[note] is not None
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


def score_file(parts: Parts, path: Path, *, heatmap: Path) -> dict[str, Any]:
    """One row of scores.csv; its milliseconds run from opening the file to the score, without the heatmap.

    Raises:
        UserError: the file cannot be read, or its score is no number.
    """
    started = time.perf_counter()
    picture = read_any(path, parts.grey_range)
    prediction = predict(parts, picture)
    seconds = time.perf_counter() - started
    if not math.isfinite(prediction.score):
        raise UserError(f"{path}: its score is {prediction.score}: look at the picture")
    calibration, sureness, sizes = parts.calibration, parts.calibration.sureness, parts.calibration.sizes
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
        "kind_note": unlike_training(path, parts.grey_range),
        "heatmap": f"{HEATMAPS}/{heatmap.name}",
        "milliseconds": round(1000 * seconds, 1),
    }


def read_any(path: Path, grey_range: Window | None) -> UInt8[np.ndarray, "H W 3"]:
    """Read a picture; whatever a decoder raises is a finding about the file.

    Raises:
        UserError: it cannot be read, is too small to be judged, or transparent all over.
    """
    try:
        picture = read_like_training(path, grey_range)
    except UserError:
        raise
    except Exception as error:  # decoders are others' code and raise what they like on damaged files
        problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be decoded ({problem}): replace or remove it") from None
    with open_image(path) as image:
        if is_transparent(image):
            raise UserError(f"{path}: {TRANSPARENT}: save it without its alpha channel")
    height, width, _ = picture.shape
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(f"{path}: is {width} x {height} pixels, at least {SMALLEST_SIDE} a side are needed: replace it")
    return picture


def unlike_training(path: Path, grey_range: Window | None) -> str | None:
    """Say that a picture has not the depth of the training images, or is one of several; None where neither holds.

    Pictures of more than 8 bits are spread over a range that those of 8 bits know nothing of: brightness may differ.

    Args:
        path: of a readable picture.
        grey_range: of the training images; None where they have 8 bits, and a deeper picture is refused.
    """
    if image_kind(path) == DICOM:
        return None if grey_range is None else "DICOM, training images have more than 8 bits"
    with open_image(path) as image:
        notes = [] if grey_range is None or is_deep(image) else ["8 bits, training images have more"]
        if (frames := number_of_frames(image)) > 1:
            notes.append(f"{frames} pages or frames, of which the first is judged")
    return "; ".join(notes) or None


def write_heatmap(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], calibration: Calibration
) -> None:
    """Draw the map over the picture in the colour range that evaluation uses too."""
    image = fit_within(picture, SIZE)
    overlay = heatmap_overlay(image, anomaly_map, low=calibration.low, high=calibration.high)
    Image.fromarray(overlay).save(path, format="JPEG", quality=QUALITY)
