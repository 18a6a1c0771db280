"""What changed of the image AUROC between a bundle and a variant of it, and how finely that is known."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from sklearn.metrics import roc_auc_score

LARGEST_CHANGE = 0.3  # points of image AUROC
Values = Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class Found:
    """Scores of the pictures that a variant is measured by.

    Attributes:
        normal: of normal validation images.
        odd: of anomalous ones, by kind; of each there is one at least.
    """

    normal: Values
    odd: Mapping[str, Values]


@dataclass(frozen=True)
class Measured:
    """What changed of the image AUROC, by kind of anomaly, and how finely that is known.

    Attributes:
        before, after: in percent.
        errors: standard error of the change, in points.
        normal: number of normal pictures.
        odd: number of anomalous ones.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    errors: Mapping[str, float]
    normal: int
    odd: Mapping[str, int]

    @classmethod
    def of(cls, before: Found, after: Found) -> "Measured":
        """Compare the scores of the same pictures."""
        return cls(
            {kind: auroc(before.normal, values) for kind, values in before.odd.items()},
            {kind: auroc(after.normal, values) for kind, values in after.odd.items()},
            {kind: error_of_change(before, after, kind) for kind in before.odd},
            len(before.normal),
            {kind: len(values) for kind, values in before.odd.items()},
        )

    @property
    def changes(self) -> dict[str, float]:
        """Points by kind."""
        return {kind: self.after[kind] - before for kind, before in self.before.items()}

    @property
    def largest(self) -> float:
        """The largest change, up or down: a variant is to judge as the bundle does."""
        return max(map(abs, self.changes.values()), default=math.inf)

    @property
    def step(self) -> float:
        """The points by which an AUROC changes when two pictures of one pair change places, for the fewest pairs."""
        return max((100 / (self.normal * odd) for odd in self.odd.values()), default=math.inf)

    @property
    def holds(self) -> bool:
        """Whether the change is small enough, and seen finely enough to say so. What is not measured is refused."""
        return self.step <= LARGEST_CHANGE and self.largest <= LARGEST_CHANGE

    def __str__(self) -> str:
        changes = (
            f"{kind} {before:.2f} to {self.after[kind]:.2f} ({self.changes[kind]:+.2f}, standard error "
            f"{self.errors[kind]:.2f}, {self.odd[kind]} pictures)"
            for kind, before in self.before.items()
        )
        return f"{', '.join(changes)}, against {self.normal} normal ones"

    def as_json(self) -> dict[str, Any]:
        """Return everything as a manifest says it."""
        return {
            "image_auroc": dict(self.after), "image_auroc_in_32_bits": dict(self.before),
            "change_in_points": self.changes, "standard_error_in_points": dict(self.errors),
            "step_in_points": self.step, "normal_pictures": self.normal, "anomalous_pictures": dict(self.odd),
            "largest_change_in_points": LARGEST_CHANGE,
        }  # fmt: skip


def auroc(normal: Values, odd: Values) -> float:
    """Return the area under the ROC curve in percent, to a thousandth."""
    labels = [False] * len(normal) + [True] * len(odd)
    return round(100 * float(roc_auc_score(labels, [*normal, *odd])), 3)


def error_of_change(before: Found, after: Found, kind: str) -> float:
    """Return the standard error of the change of an AUROC on the same pictures, in points, to a thousandth.

        SE² = var(V10_a - V10_b) / m + var(V01_a - V01_b) / n

    DeLong et al., "Comparing the Areas under Two or More Correlated ROC Curves", Biometrics 1988. V10 is the share of
    the n normal pictures that an anomalous one exceeds, V01 the share of the m anomalous ones that exceed a normal one.
    It is 0 where no two pictures changed places: then `Measured.step` says how finely that is known.
    """
    placements = []
    for found in (before, after):
        difference = found.odd[kind][:, None] - found.normal
        above = (difference > 0) + 0.5 * (difference == 0)
        placements.append((above.mean(axis=1), above.mean(axis=0)))
    changes = [new - old for old, new in zip(*placements, strict=True)]
    return round(100 * math.sqrt(sum(one.var(ddof=1) / len(one) for one in changes if len(one) > 1)), 3)
