"""What a method that learns from a few images gains or loses by which ones it was given: its draws together."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from stages.evaluation.naming import Name
from stages.evaluation.ranking import GROUPS
from stages.evaluation.undefined import Measured, Undefined

DRAW = re.compile(r"draw_\d+")  # the branch of one draw, by any method


def draw_metrics(ranking: Mapping[Name, Measured], branches: Sequence[str]) -> dict[Name, Any]:
    """Number of draws, mean and sample standard deviation (n - 1) of their image AUROCs in each group.

    The deviation is that of single draws, not of their mean: what another choice of images would give.

    Args:
        ranking: has ("branches", name, group) of every branch.

    Returns:
        Nothing where the method has no draws.
    """
    draws = [name for name in branches if DRAW.fullmatch(name)]
    if not draws:
        return {}
    values = {group: [ranking["branches", name, group] for name in draws] for group in GROUPS}
    return {
        ("draws", "count"): len(draws),
        **{("draws", "image_auroc_mean", group): mean(found) for group, found in values.items()},
        **{("draws", "image_auroc_deviation", group): deviation(found) for group, found in values.items()},
    }


def mean(values: Sequence[Measured]) -> Measured:
    """Undefined like the first of the values that is."""
    numbers = [value for value in values if not isinstance(value, Undefined)]
    return statistics.mean(numbers) if len(numbers) == len(values) else first_undefined(values)


def deviation(values: Sequence[Measured]) -> Measured:
    """Of the sample; undefined like the first of the values that is, or where there is one alone."""
    numbers = [value for value in values if not isinstance(value, Undefined)]
    if len(numbers) < len(values):
        return first_undefined(values)
    return statistics.stdev(numbers) if len(numbers) > 1 else Undefined("a single draw has no spread")


def first_undefined(values: Sequence[Measured]) -> Undefined:
    """Whose reason stands for all."""
    return next(value for value in values if isinstance(value, Undefined))
