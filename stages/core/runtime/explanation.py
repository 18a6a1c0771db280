"""One explanation: what is unusual in an image, and where; `stages.core.runtime.wording` says it in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Box = tuple[float, float, float, float]
Measure = Literal["missing", "extra", "area", "place", "cell_area", "number", "hot_spot"]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Explanation:
    """One finding; `stages.core.runtime.wording.describe` says it in words.

    Attributes:
        branch: column of the score table that it explains.
        component: class of component it is about, or which its place lies next to; None when there is none.
        measure: what is unusual: the number of components ("missing", "extra", or "number" where they lie anywhere), a
            component's area or place, the class's area in a cell of a grid, or the hottest spot of an anomaly map.
        box: where, (top, left, bottom, right) as shares of the image's height and width.
        observed, normal: the measured value and what it is in normal images, in the measure's unit: number of
            components (of "number" how many too many, negative for too few, and 0), area as a share of the image, image
            sides, or the map's own.
        deviation: distance from normal in standard deviations of normal images; larger is more unusual.
        classes: of a hot spot, the class that normal images show there and the one that this image shows; 0 is none.
    """

    branch: str
    component: int | None
    measure: Measure
    box: Box
    observed: float
    normal: float
    deviation: float
    classes: tuple[int, int] | None = None
