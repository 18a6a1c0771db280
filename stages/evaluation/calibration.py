"""Take all that decides from validation images; test images are not looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.calibration import Calibration
from stages.evaluation.maps import colour_range
from stages.evaluation.thresholds import F1Threshold, conformal_threshold, f1_threshold
from stages.evaluation.uncertainty import Uncertainty, fit_uncertainty
from stages.evaluation.undefined import Undefined


@dataclass(frozen=True)
class Fitted:
    """What validation images gave.

    Attributes:
        calibration: the threshold that decides, from normal images alone, and scales for display.
        f1_threshold: a second one, where labelled anomalies were set aside in validation.
        uncertainty: how sure a verdict is.
    """

    calibration: Calibration
    f1_threshold: F1Threshold | Undefined
    uncertainty: Uncertainty


def fit(
    joined: pd.DataFrame,
    maps: Mapping[str, Float16[np.ndarray, "h w"]],
    branches: Sequence[str],
    *,
    budget: float,
    unsure_confidence: float,
) -> Fitted:
    """Fit on the rows of split `validation`, which are normal, and of `validation_anomalous` for the F1 threshold."""
    scores = {split: rows["score"].to_numpy(dtype=np.float64) for split, rows in joined.groupby("split")}
    normal, anomalous = scores["validation"], scores.get("validation_anomalous", np.zeros(0))
    low, high = colour_range(joined, maps, budget=budget)
    threshold = conformal_threshold(normal, budget=budget)
    return Fitted(
        Calibration(threshold, float(np.median(normal)), low, high),
        f1_threshold(normal, anomalous),
        fit_uncertainty(joined, branches, budget=budget, confidence=unsure_confidence),
    )
