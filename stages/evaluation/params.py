"""Params of the evaluation."""

from typing import Annotated

from pydantic import Field, PositiveInt

from stages.core.run.params import Params

Rate = Annotated[float, Field(gt=0, le=1)]


class EvaluationParams(Params):
    """Section `evaluation`, the same for every method and profile.

    Attributes:
        false_alarm_budget: share of normal validation images that the threshold may call anomalous; lower values find
            fewer anomalies.
        aupro_max_false_positive_rate: share of normal pixels up to which the PRO curve is integrated; 0.3 is usual.
        spro_max_false_positive_rates: the same for the saturated PRO curve of MVTec LOCO, a metric for each.
        confidence: confidence of the intervals of metrics.
        bootstrap_resamples: number of resamples of the test images for an interval; more make it steadier and take
            longer.
        unsure_confidence: confidence of the band around the threshold in which a verdict is called unsure; higher makes
            it wider.
    """

    false_alarm_budget: float = Field(gt=0, lt=1)
    aupro_max_false_positive_rate: Rate
    spro_max_false_positive_rates: tuple[Rate, ...]
    confidence: float = Field(gt=0, lt=1)
    bootstrap_resamples: PositiveInt
    unsure_confidence: float = Field(gt=0, lt=1)
