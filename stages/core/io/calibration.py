"""Calibrations: what turns a score into a decision, a displayed score and a heatmap's colours."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class Threshold:
    """An image is anomalous when its score is above `value`.

    Attributes:
        false_alarm_budget: the share of unseen normal images that may lie above, as asked for.
        attainable_false_alarm_rate: the share to expect above `value`, on average over sets of validation images and
            for new images that are taken like these; above the budget when there are too few normals for it.
        normals: number of validation scores it was taken from.
        normals_needed: fewest scores for which the budget can be kept.
    """

    value: float
    false_alarm_budget: float
    attainable_false_alarm_rate: float
    normals: int
    normals_needed: int


@dataclass(frozen=True)
class Calibration:
    """All from normal validation images.

    Attributes:
        threshold: decides.
        median: of the scores.
        low, high: map values shown as blue and as red.
    """

    threshold: Threshold
    median: float
    low: float
    high: float

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


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the numbers in full precision; the metrics file rounds them."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")


def read_calibration(path: Path) -> Calibration:
    """Read the numbers, bit for bit as they were written.

    Raises:
        UserError: the file is missing, not JSON, or lacks a number.
    """
    try:
        return TypeAdapter(Calibration).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, ValueError) as error:
        problem = str(error)
    raise UserError(f"{path}: no readable calibration ({problem}): delete it and run `dvc repro`")
