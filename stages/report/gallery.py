"""The images a reader should see first: what went wrong, and what was clearest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import UserError
from stages.report.pictures import PictureBudget
from stages.report.rows import read_json

SHOWN = 8  # images of a strip

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """An image of a strip; a picture is None when the page has no room for it or the method makes none."""

    result: Result
    picture: str | None
    heatmap: str | None


@dataclass(frozen=True)
class Strip:
    """Images under one heading, `total` of them in all."""

    heading: str
    cards: tuple[Card, ...]
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


def strips(evaluation: Path, results: Sequence[Result], budget: PictureBudget) -> tuple[Strip, ...]:
    """The strips that are not empty; pictures count against the budget."""
    chosen = {choice.heading: choice.of(results) for choice in CHOICES}
    return tuple(
        Strip(heading, tuple(card(evaluation, result, budget) for result in found[:SHOWN]), len(found))
        for heading, found in chosen.items()
        if found
    )


def card(evaluation: Path, result: Result, budget: PictureBudget) -> Card:
    """One image with its pictures."""
    heatmap = result["prediction"]["heatmap_path"]
    return Card(
        result,
        budget.take(evaluation / result["picture_path"]),
        budget.take(evaluation / heatmap) if heatmap else None,
    )
