"""Score all images of a call, one after the other.

Heatmap pictures: their names and how they are drawn.

The folder of results: there as a whole, or not at all.
"""

import csv
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from commands.predict.inputs import Inputs, Unreadable
from commands.predict.model import Parts, predict
from stages.core.images.overlays import fit_within, heatmap_overlay
from stages.core.images.reading import read_image
from stages.core.io.calibration import Calibration
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError

HEATMAPS = "heatmaps"  # folder, below the one of the results
SIZE = 512  # pixels of the longer side; the map behind it is coarser
QUALITY = 90
LONGEST = 60  # characters kept of a name: with up to 4 bytes each they stay below the 255 bytes of file systems
LOG = logging.getLogger(__name__)
NAMED = 10  # unreadable files that the log names
SCORES, UNREADABLE = "scores.csv", "unreadable.csv"


def heatmap_names(paths: Iterable[Path]) -> list[str]:
    """One file name a path: its name without suffix, and -2, -3, ... where that is taken.

    Names that differ by case only count as the same, since some file systems take them for the same.
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = path.stem[:LONGEST]
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.jpg")
    return names


def write_heatmap(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], calibration: Calibration
) -> None:
    """Draw the map over the picture in the colour range that evaluation uses too."""
    image = fit_within(picture, SIZE)
    overlay = heatmap_overlay(image, anomaly_map, low=calibration.low, high=calibration.high)
    Image.fromarray(overlay).save(path, format="JPEG", quality=QUALITY)


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


@contextmanager
def results_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder beside `path`; when the block ends well, it becomes `path`.

    Whatever goes wrong, earlier results at `path` stay as they were.

    Args:
        overwrite: whether earlier results of this command may be replaced; anything else never is.

    Raises:
        UserError: `path` cannot be written to, or holds something that must stay.
    """
    target = Path(os.path.realpath(path))  # a link keeps pointing to the results
    try:
        check_replaceable(target, overwrite=overwrite)
        with replacing_folder(target) as folder:
            yield folder
    except OSError as error:
        raise UserError(f"{path} (--output) cannot be written: {error}") from None


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Pass if there is nothing at `path`, an empty folder, or with `overwrite` a folder that only holds our results.

    Raises:
        UserError: it is something else.
        OSError: it cannot be looked into.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"{path} (--output) is a file: name a folder")
    if path.is_mount():
        raise UserError(f"{path} (--output) is a mount point and cannot be replaced as a whole: name a folder in it")
    names = {entry.name for entry in path.iterdir()}
    foreign = sorted(names - {SCORES, UNREADABLE, HEATMAPS})
    if foreign or (names and SCORES not in names):
        raise UserError(
            f"{path} (--output) holds {(foreign or sorted(names))[0]}, which is not a result of this command: "
            "name a new or empty folder"
        )
    if names and not overwrite:
        raise UserError(f"{path} (--output) holds earlier results: add --overwrite to replace them")


def write_tables(folder: Path, outcome: Outcome) -> None:
    """Write scores.csv, floats in full precision, and unreadable.csv (path, error), which may have no rows.

    Both are UTF-8; a file name that is not keeps its bytes.
    """
    write_csv(folder / SCORES, outcome.rows, columns=list(outcome.rows[0]))
    write_csv(folder / UNREADABLE, [asdict(entry) for entry in outcome.unreadable], columns=["path", "error"])


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write a header and the rows; None becomes an empty field."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
