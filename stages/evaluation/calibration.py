"""Take a calibration from normal validation images."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.calibration import Calibration
from stages.evaluation.maps import colour_range
from stages.evaluation.thresholds import conformal_threshold


def calibrate(joined: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "h w"]], *, budget: float) -> Calibration:
    """Calibrate on the rows of split `validation`, which are normal images; test rows are not looked at."""
    normal = joined[joined["split"] == "validation"]["score"].to_numpy(dtype=np.float64)
    low, high = colour_range(joined, maps, budget=budget)
    return Calibration(conformal_threshold(normal, budget=budget), float(np.median(normal)), low, high)
