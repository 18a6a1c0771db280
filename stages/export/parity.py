"""The gate: a bundle judges all validation images as the pipeline did, or it is no bundle."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from stages.core.io.result import MethodResult, branch_names
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.bundle import Bundle
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.pictures import read_picture
from stages.core.runtime.verifying import SCORES, score_error, worst_branch

MAPS = 1e-3  # largest difference, as a fraction of the range of all maps
REMEDY = "run `dvc repro` on the machine that exports; a profile that computed in bfloat16 on a GPU cannot be exported"


@dataclass(frozen=True)
class Expected:
    """What the pipeline found in a validation image.

    Attributes:
        file: name of the image file.
        branches: score of each branch; None for one that was excluded.
    """

    image_id: str
    file: str
    score: float
    is_anomalous: bool
    branches: Mapping[str, float | None]
    anomaly_map: Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Parity:
    """The largest differences, as fractions: of the score, and of the range of all maps."""

    images: int
    score: float
    anomaly_map: float

    def __str__(self) -> str:
        return f"{self.images} images agree, scores within {self.score:.1e}, maps within {self.anomaly_map:.1e}"


def expected_of(result: MethodResult, images: pd.DataFrame, calibration: Calibration) -> list[Expected]:
    """Return what the pipeline found in the normal validation images, the lowest score first.

    Args:
        result: of a method.
        images: the image table.
        calibration: of that method.

    Raises:
        UserError: the method has no maps, or no validation image.
    """
    if result.maps is None:
        raise UserError("the result has no anomaly maps: run `dvc repro`")
    files = dict(zip(images["image_id"], images["file"], strict=True))
    rows = result.scores[result.scores["split"] == "validation"].sort_values(["score", "image_id"])
    if rows.empty:
        raise UserError("there is no normal validation image: check the split's ratios")
    places = {image_id: row for row, image_id in enumerate(result.maps.image_ids)}
    names = branch_names(result.scores) if result.fusion is not None else []
    return [
        Expected(
            row["image_id"], files[row["image_id"]], float(row["score"]), calibration.calls(float(row["score"])),
            {name: None if math.isnan(row[name]) else float(row[name]) for name in names},
            np.asarray(result.maps.values[places[row["image_id"]]], dtype=np.float32),
        )
        for _, row in rows.iterrows()
    ]  # fmt: skip


def chosen(expected: Sequence[Expected], count: int) -> list[Expected]:
    """Return so many of them, spread evenly from the lowest score to the highest."""
    places = np.linspace(0, len(expected) - 1, min(count, len(expected))).round().astype(int)
    return [expected[place] for place in places]


def check_parity(bundle: Bundle, expected: Sequence[Expected], images: Path) -> Parity:
    """Compare scores, verdicts and maps of all validation images.

    Args:
        bundle: as it was written.
        expected: of these images.
        images: the folder of their files.

    Raises:
        UserError: it differs by more than SCORES or MAPS, or in a verdict; the image and the branch are named.
    """
    maps = np.stack([one.anomaly_map for one in expected])
    extent = float(maps.max() - maps.min())
    step = float(np.spacing(np.float16(np.abs(maps).max())))  # half precision cannot say it more exactly
    worst_score = worst_map = 0.0
    for one in progress(expected, total=len(expected), label=f"parity of {bundle.method}"):
        found = bundle.judge(read_picture(images / one.file, bundle.grey_range))
        score = score_error(bundle, found.score, one.score)
        if not score <= SCORES or bundle.calls(found.score) != one.is_anomalous:
            raise UserError(
                f"{bundle.method}: the bundle scores {one.image_id} {found.score:.6g}, the pipeline {one.score:.6g}; "
                f"{worst_branch(found.branches, one.branches)}: {REMEDY}"
            )
        error = float(np.abs(found.anomaly_map - one.anomaly_map).max())
        if not error <= MAPS * extent + step:
            raise UserError(
                f"{bundle.method}: the bundle's anomaly map of {one.image_id} differs from the pipeline's by "
                f"{error:.3g}, all maps span {extent:.3g}; {worst_branch(found.branches, one.branches)}: {REMEDY}"
            )
        worst_score, worst_map = max(worst_score, score), max(worst_map, error / extent if extent else 0.0)
    return Parity(len(expected), worst_score, worst_map)
