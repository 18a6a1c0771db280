"""The images of the page: everything that is known of each, and which a reader should see first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.running.errors import UserError
from stages.report.json_files import read_json
from stages.report.pictures import PictureStore

SHOWN = 8  # images of a strip

Result = Mapping[str, Any]


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
        """The results that belong here, best first."""
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
    """The raw anomaly score."""
    return float(result["prediction"]["anomaly_score"])


def read_results(evaluation: Path) -> list[Result]:
    """All results of an evaluation's folder, sorted by image_id.

    Raises:
        UserError: there is none, or a file is damaged.
    """
    results: list[Result] = [read_json(path) for path in sorted((evaluation / "results").glob("*.json"))]
    if not results:
        raise UserError(f"{evaluation}: no results: run `dvc repro`")
    return results


def strips(results: Sequence[Result], *, first: int) -> tuple[Strip, ...]:
    """The strips that are not empty.

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


def page_image(evaluation: Path, result: Result, store: PictureStore, *, category: str, method: str) -> dict[str, Any]:
    """What the page holds of one image; a picture is None when there is no room for it or the method makes none."""
    paths = {
        "picture": result["picture_path"],
        "heatmap": result["prediction"]["heatmap_path"],
        "mask": result["mask_path"],
        "disagreement": result["disagreement_path"],
    }
    return {
        "category": category,
        "method": method,
        **{name: result[name] for name in ("filename", "kind", "defect_type", "correct", "branches", "explanations")},
        "anomalous": result["ground_truth"]["is_anomalous"],
        **result["prediction"],
        **{name: store.take(evaluation / path) if path else None for name, path in paths.items()},
    }


def component_pictures(evaluation: Path, store: PictureStore) -> dict[str, str]:
    """Keys of the pictures of component classes, by class."""
    files = sorted((evaluation / "components").glob("*.jpg"))
    keys = {file.stem: store.take(file, shrink=False) for file in files}
    return {name: key for name, key in keys.items() if key is not None}
