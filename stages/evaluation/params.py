"""What the evaluation is told."""

from pydantic import Field

from stages.core.params import Params


class EvaluationParams(Params):
    """Section `evaluation`, the same for every method and profile.

    Attributes:
        false_alarm_budget: share of normal images that may be called anomalous.
        aupro_max_false_positive_rate: share of normal pixels up to which the PRO curve is integrated.
    """

    false_alarm_budget: float = Field(gt=0, lt=1)
    aupro_max_false_positive_rate: float = Field(gt=0, le=1)
