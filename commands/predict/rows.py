"""What a judge finds in a picture, as a row of the tables and as a verdict of the store, and its heatmap."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from commands.predict.reading import Reading
from commands.verdicts.verdict import Verdict, as_json, as_text, utc_now
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.heatmaps import small_heatmap
from stages.core.runtime.reading import Window

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, UInt8

SIZE = 512  # pixels of a heatmap's longer side; the map behind it is coarser
QUALITY = 90  # of its JPEG
PLAIN = (  # columns of a row, next to which all others are scores of branches
    "path", "score", "threshold", "is_anomalous", "display_score", "p_value", "unsure", "explanations", "size_note",
    "kind_note", "heatmap", "milliseconds", "sha256", "time", "tags",
)  # fmt: skip


class NoScore(UserError):
    """A picture whose score is no number."""


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

    @property
    def explanations(self) -> tuple[str, ...]:
        """In words, what decided first."""


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


def row_of(
    judge: Judge, name: str, reading: Reading, found: Judged, *, milliseconds: float, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return a row of scores.csv.

    Args:
        judge: of the picture.
        name: of the picture.
        reading: the picture.
        found: in it.
        milliseconds: from opening the file to the score.
        tags: what the line says of the picture.

    Raises:
        NoScore: the score is no number.
    """
    if not math.isfinite(found.score):
        raise NoScore(f"{name}: its score is {found.score}: look at the picture")
    calibration, sureness, sizes = judge.calibration, judge.calibration.sureness, judge.calibration.sizes
    height, width = reading.pixels.shape[:2]
    return {
        "path": name,
        "score": found.score,
        "threshold": calibration.threshold.value,
        "is_anomalous": calibration.calls(found.score),
        "display_score": round(calibration.display(found.score), 6),
        "p_value": None if sureness is None else round(sureness.p_value(found.score), 6),
        "unsure": None if sureness is None else sureness.unsure(found.score),
        **found.branches,
        "explanations": list(found.explanations),
        "size_note": None if sizes is None else sizes.difference(width, height),
        "kind_note": reading.kind_note,
        "heatmap": None,
        "milliseconds": round(milliseconds, 1),
        "sha256": reading.sha256,
        "time": utc_now(),
        "tags": dict(tags),
    }


def verdict_of(row: Mapping[str, Any], about: Mapping[str, Any], *, station: str, source: str) -> Verdict:
    """Return a row as the store keeps it.

    Args:
        row: of scores.csv.
        about: of the judge: what identifies the bundle, or the trained parts in place of one.
        station: the machine or camera.
        source: predict, watch or serve.
    """
    branches = {name: value for name, value in row.items() if name not in PLAIN}
    notes = [row[name] for name in ("size_note", "kind_note") if row[name]]
    return Verdict(
        picture=as_text(row["path"]),
        picture_sha256=row["sha256"],
        product=about["category"],
        method=about["method"],
        bundle_commit=about.get("commit"),
        bundle_sha256=about["bundle_sha256"] if "bundle_sha256" in about else hash_of(about["parts"]),
        score=row["score"],
        threshold=row["threshold"],
        p_value=row["p_value"],
        is_anomalous=row["is_anomalous"],
        unsure=row["unsure"],
        explanations=as_json({"branches": branches, "explanations": row["explanations"]}),
        time=row["time"],
        station=station,
        source=source,
        note="; ".join(notes) or None,
        tags=row["tags"],
    )


def hash_of(parts: Mapping[str, str]) -> str:
    """Return one hash of the hashes of trained parts."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def write_heatmap(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], calibration: Calibration
) -> None:
    """Draw the map over the picture in the colour range that evaluation uses too."""
    overlay = small_heatmap(picture, anomaly_map, size=SIZE, low=calibration.low, high=calibration.high)
    Image.fromarray(overlay).save(path, format="JPEG", quality=QUALITY)
