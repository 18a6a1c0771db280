"""Calibrations: what turns a score into a decision, a displayed score and a heatmap's colours."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stages.core.runtime.compression import FileKinds

UNIT = "x threshold distance"  # of a score in words: see Calibration.multiple
MANY = 100  # of them are not told apart
SAME_ASPECT = 0.01  # share by which an aspect ratio may lie outside, since sizes are whole pixels


@dataclass(frozen=True)
class Threshold:
    """An image is anomalous when its score is above `value`.

    Attributes:
        false_alarm_budget: the share of unseen normal images that may lie above, as asked for.
        attainable_false_alarm_rate: the share to expect above `value`, on average over sets of validation images and
            for new images that are taken like these; above the budget when there are too few normals for it.
        normals: number of scores of held-out normal images it was taken from.
        normals_needed: fewest scores for which the budget can be kept.
        rotated: how many of `normals` are training images that were held out in their turn; the others are validation
            images.
    """

    value: float
    false_alarm_budget: float
    attainable_false_alarm_rate: float
    normals: int
    normals_needed: int
    rotated: int = 0

    @property
    def source(self) -> str:
        """Say in words which images it was taken from."""
        if not self.rotated:
            return counted(self.normals, "normal validation image")
        validation = self.normals - self.rotated
        return f"{self.normals} normal images ({validation} of validation, {self.rotated} held out in turns)"

    def as_json(self) -> dict[str, float | int]:
        """Return the fields; `rotated` only where there are any."""
        return {name: value for name, value in asdict(self).items() if name != "rotated" or value}


def counted(number: int, thing: str) -> str:
    """Return "1 image" or "2 images"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def conformal_p_value(normal: Sequence[float], score: float) -> float:
    """Return how likely an unseen normal image scores at least this.

        p = (1 + |{i : s_i >= s}|) / (n + 1),    P(p <= a) <= a for an unseen normal image

    Args:
        normal: s, scores of normal images, ascending.
        score: s of the image.
    """
    return (1 + len(normal) - bisect.bisect_left(normal, score)) / (len(normal) + 1)


@dataclass(frozen=True)
class Sureness:
    """How sure a verdict is.

    Attributes:
        normal: scores of normal validation images, ascending.
        low, high: the verdict is unsure when low < score <= high.
    """

    normal: tuple[float, ...]
    low: float
    high: float

    def p_value(self, score: float) -> float:
        """See `conformal_p_value`."""
        return conformal_p_value(self.normal, score)

    def unsure(self, score: float) -> bool:
        """Return whether the verdict might be another one with other normal validation images."""
        return self.low < score <= self.high


@dataclass(frozen=True)
class BranchScale:
    """By what scores of a branch are compared with those of others.

    Attributes:
        threshold, median: of normal images' scores.
        weight: of the branch in the score.
    """

    threshold: float
    median: float
    weight: float

    def excess(self, score: float) -> float:
        """Return how far the score lies above the threshold, in distances from the median to the threshold."""
        spread = self.threshold - self.median
        return (score - self.threshold) / spread if spread > 0 else math.copysign(math.inf, score - self.threshold)


def by_excess(scales: Mapping[str, BranchScale], values: Mapping[str, float | None]) -> list[str]:
    """Sort the branches, the one farthest above its own threshold first, or nearest to it where none is above.

    How far one is above counts by its weight: what hardly counts in the score has not decided.

    Args:
        scales: of the branches that have decided; others have no place.
        values: their scores.
    """
    known = {name: values.get(name) for name in scales}
    excess = {name: scales[name].excess(value) for name, value in known.items() if value is not None}

    def rank(name: str) -> tuple[float, float]:
        above, weight = max(excess[name], 0.0), scales[name].weight
        return (weight * above if weight else 0.0, excess[name])  # 0 times infinity is no number

    return sorted(excess, key=rank, reverse=True)


@dataclass(frozen=True)
class PictureSizes:
    """Smallest and largest width, height (pixels, upright) and width over height of the training images."""

    width: tuple[int, int]
    height: tuple[int, int]
    aspect: tuple[float, float]

    def difference(self, width: int, height: int) -> str | None:
        """Say how a picture's size differs from those of the training images; None where it is among them."""
        if not _within(width, self.width) or not _within(height, self.height):
            return f"{width} x {height} pixels, training images {_range(self.width)} x {_range(self.height)}"
        if not _within(width / height, self.aspect, tolerance=SAME_ASPECT):
            low, high = (round(value, 2) for value in self.aspect)
            return f"aspect ratio {width / height:.2f}, training images {_range((low, high))}"
        return None


def _within(value: float, limits: tuple[float, float], *, tolerance: float = 0.0) -> bool:
    return limits[0] * (1 - tolerance) <= value <= limits[1] * (1 + tolerance)


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]}" if limits[0] == limits[1] else f"{limits[0]} to {limits[1]}"


@dataclass(frozen=True)
class Calibration:
    """All from normal images, of validation where nothing else is said.

    Attributes:
        threshold: decides.
        median: of the scores.
        low, high: map values shown as blue and as red.
        sureness: of verdicts; None before it is fitted.
        sizes: of the training images; None where they are not known.
        files: how the training images were saved; None likewise.
        branches: of the branches in use; None for a method without.
    """

    threshold: Threshold
    median: float
    low: float
    high: float
    sureness: Sureness | None = None
    sizes: PictureSizes | None = None
    files: FileKinds | None = None
    branches: Mapping[str, BranchScale] | None = None

    def calls(self, score: float) -> bool:
        """Return whether an image with this score is called anomalous."""
        return score > self.threshold.value

    def display(self, score: float) -> float:
        """Return the score from 0 to 1 without reversing any order: 0.5 at the threshold, 0.1 at the median.

            d = 1 / (1 + exp(-ln 9 (s - t) / (t - m)))

        A spread t - m of zero gives 0, 0.5 or 1 for scores below, at or above the threshold.
        """
        distance, spread = score - self.threshold.value, self.threshold.value - self.median
        if spread <= 0:
            return 0.5 + 0.5 * ((distance > 0) - (distance < 0))
        exponent = -math.log(9.0) * distance / spread
        return 1.0 / (1.0 + math.exp(min(exponent, 700.0)))  # exp(710) overflows

    def multiple(self, score: float) -> float | None:
        """Return where the score lies on the way from a typical normal image to the threshold.

            d = (s - m) / (t - m):  0 at the median m of normal validation images, 1 at the threshold t

        Unlike s / t it means the same for scores that may be negative. None where t is not above m.
        """
        spread = self.threshold.value - self.median
        return (score - self.median) / spread if spread > 0 else None

    def in_words(self, score: float) -> str:
        """Return the score as a multiple, such as "1.8 x threshold distance"; 1.0 only within a thousandth."""
        multiple = self.multiple(score)
        if multiple is None:
            return "above the threshold" if self.calls(score) else "not above the threshold"
        if multiple > MANY:
            return f"more than {MANY} {UNIT}"
        digits = next((digits for digits in (1, 2, 3) if round(multiple, digits) != 1), 1)
        return f"{round(multiple, digits) + 0.0:.{digits}f} {UNIT}"  # + 0.0: no minus zero


def calibration_from_json(value: Mapping[str, Any]) -> Calibration:
    """Build a calibration from the JSON of `stages.core.io.calibration.write_calibration`.

    Raises:
        KeyError, TypeError, ValueError: the value has another layout.
    """
    sureness, sizes, files = value["sureness"], value["sizes"], value["files"]
    branches = value["branches"]
    return Calibration(
        Threshold(**value["threshold"]),
        float(value["median"]),
        float(value["low"]),
        float(value["high"]),
        None if sureness is None else Sureness(tuple(sureness["normal"]), sureness["low"], sureness["high"]),
        None if sizes is None else PictureSizes(**{name: tuple(limits) for name, limits in sizes.items()}),
        None if files is None else FileKinds(**{**files, "kinds": tuple(files["kinds"])}),
        None if branches is None else {name: BranchScale(**scale) for name, scale in branches.items()},
    )
