"""Grey values of many bits as 8 bits: a window of them is spread from black to white."""

from typing import Annotated

import numpy as np
from jaxtyping import Shaped, UInt8
from pydantic import Field

from stages.core.running.params import Params


class Window(Params):
    """What radiologists call level and width: the middle and the extent of the values that are told apart."""

    level: float
    width: Annotated[float, Field(gt=1)]


def apply_window(values: Shaped[np.ndarray, "H W"], window: Window) -> UInt8[np.ndarray, "H W"]:
    """y = ((x - (level - 1/2)) / (width - 1) + 1/2) 255, cut at black and white and rounded.

    DICOM PS3.3, C.11.2.1.2.1 (the linear function).
    """
    share = (values.astype(np.float64) - (window.level - 0.5)) / (window.width - 1.0) + 0.5
    return np.rint(share.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def whole_range(values: Shaped[np.ndarray, "H W"]) -> Window:
    """The window whose ends are the smallest and the largest value."""
    low, high = float(values.min()), float(values.max())
    return Window(level=(low + high) / 2 + 0.5, width=max(high - low + 1.0, 2.0))
