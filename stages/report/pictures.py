"""Images of the page: what is known of each, which a reader should see first, and their pictures inside the page.

The page must open anywhere, also without the files it was made from, so that pictures are part of it.
"""

import base64
import hashlib
import io
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from PIL import Image

from stages.core.io.decision import read_choice as read_json
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.explanation import Explanation
from stages.core.runtime.wording import Names, describe

LIMIT = 24 * 2**20  # bytes of all pictures as text; the page stays below 30 MB with them
BYTES_PER_PIXEL = 0.35  # of a JPEG as text, rather more than most have
LARGEST, SMALLEST = 256, 64  # pixels of a picture's longer side
SHOWN = 8  # images of a strip
LOG = logging.getLogger(__name__)
Result = Mapping[str, Any]


def fitting_side(count: int, limit: int = LIMIT) -> int:
    """Return the longer side that so many pictures can have; between SMALLEST and LARGEST."""
    side = math.isqrt(int(limit / (max(count, 1) * BYTES_PER_PIXEL)))
    return min(max(side, SMALLEST), LARGEST)


class PictureStore:
    """Pictures as data URIs by key; equal files are kept once, and none beyond the limit.

    Attributes:
        uris: what the page holds.
        excluded: number of pictures for which there was no space.
    """

    def __init__(self, *, side: int = LARGEST, limit: int = LIMIT) -> None:
        self.side = side
        self.free = limit
        self.excluded = 0
        self.uris: dict[str, str] = {}

    def take(self, path: Path, *, shrink: bool = True) -> str | None:
        """Keep a JPEG or PNG file and return its key, or None when it no longer fits or is no picture.

        Args:
            path: of the file.
            shrink: to `side` pixels; otherwise the file is kept as it is.

        Raises:
            OSError: the evaluation's folder is not whole.
        """
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()[:12]
        if key in self.uris:
            return key
        try:
            uri = data_uri(shrunk(content, self.side) if shrink and self.free else content)
        except OSError as error:
            LOG.error("%s is not on the page: %s", path, error)
            self.excluded += 1
            return None
        if len(uri) > self.free:
            self.excluded += 1
            return None
        self.free -= len(uri)
        self.uris[key] = uri
        return key


def shrunk(content: bytes, side: int) -> bytes:
    """Shrink a picture to a longer side of `side` pixels at most, in its own format."""
    with Image.open(io.BytesIO(content)) as image:
        if max(image.size) <= side:
            return content
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, format=image.format, quality=80, optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """Return a file inside an address."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


@dataclass(frozen=True)
class Strip:
    """Images under one heading: positions in the page's list of images, `total` of them in all."""

    heading: str
    positions: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Choice:
    """Which results a strip shows.

    Attributes:
        anomalous, correct: what they have in common.
        highest_first: order by score.
    """

    heading: str
    anomalous: bool
    correct: bool
    highest_first: bool

    def of(self, results: Sequence[Result]) -> list[Result]:
        """Return the results that belong here, best first."""
        own = [
            result
            for result in results
            if result["ground_truth"]["is_anomalous"] == self.anomalous and result["correct"] == self.correct
        ]
        return sorted(own, key=score, reverse=self.highest_first)


CHOICES = (
    Choice("Missed anomalies, lowest score first", anomalous=True, correct=False, highest_first=False),
    Choice("False alarms, highest score first", anomalous=False, correct=False, highest_first=True),
    Choice("Detected anomalies, highest score first", anomalous=True, correct=True, highest_first=True),
    Choice("Accepted normal images, lowest score first", anomalous=False, correct=True, highest_first=False),
)


def score(result: Result) -> float:
    """Return the raw anomaly score."""
    return float(result["prediction"]["anomaly_score"])


def read_results(evaluation: Path) -> list[Result]:
    """Read all results of an evaluation's folder, sorted by image_id.

    Raises:
        UserError: there is none, or a file is damaged.
    """
    results: list[Result] = [read_json(path) for path in sorted((evaluation / "results").glob("*.json"))]
    if not results:
        raise UserError(f"{evaluation}: no results: run `dvc repro`")
    return results


def strips(results: Sequence[Result], *, first: int) -> tuple[Strip, ...]:
    """Return the strips that are not empty.

    Args:
        first: position of the first result in the page's list of images.
    """
    position = {id(result): first + number for number, result in enumerate(results)}
    chosen = {choice.heading: choice.of(results) for choice in CHOICES}
    return tuple(
        Strip(heading, tuple(position[id(result)] for result in found[:SHOWN]), len(found))
        for heading, found in chosen.items()
        if found
    )


def page_image(
    evaluation: Path, result: Result, store: PictureStore, calibration: Calibration, *, names: Names
) -> dict[str, Any]:
    """Describe one image; a picture is None when there is no space for it or the method makes none.

    Args:
        evaluation: the method's folder.
        result: what it holds of the image.
        store: takes the pictures.
        calibration: of the method.
        names: of components.
    """
    paths = {
        "picture": result["picture_path"],
        "heatmap": result["prediction"]["heatmap_path"],
        "mask": result["mask_path"],
        "disagreement": result["disagreement_path"],
    }
    own, p_value = score(result), float(result["prediction"]["p_value"])
    return {
        **{name: result[name] for name in ("filename", "kind", "defect_type", "correct", "branches")},
        "explanations": [explained(finding, names) for finding in result["explanations"]],
        "multiple": calibration.multiple(own),
        "badge": f"{calibration.in_words(own)}, p = {p_value:.2g}",
        "anomalous": result["ground_truth"]["is_anomalous"],
        **result["prediction"],
        **{name: store.take(evaluation / path) if path else None for name, path in paths.items()},
    }


def explained(finding: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Return what the page shows of a finding: its box, its component, and the words with the component's name."""
    values: dict[str, Any] = {field.name: finding[field.name] for field in fields(Explanation)}
    return {**{name: finding[name] for name in ("box", "component")}, "text": describe(Explanation(**values), names)}


def component_pictures(evaluation: Path, store: PictureStore) -> dict[str, str]:
    """Keep the pictures of component classes and return their keys, by class."""
    files = sorted((evaluation / "components").glob("*.jpg"))
    keys = {file.stem: store.take(file, shrink=False) for file in files}
    return {name: key for name, key in keys.items() if key is not None}
