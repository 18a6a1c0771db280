"""Metrics by name, and as the metrics file nests them.

A name is a tuple from the outer to the inner key. A number that does not exist is `Undefined` and has a reason: it is
never 0.5 and never NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Name = tuple[str, ...]
DIGITS = 6  # significant ones; metrics files are diffed, and more digits would show noise


def nested(values: Mapping[Name, Any]) -> dict[str, Any]:
    """Turn {("a", "b"): 1} into {"a": {"b": 1}}, in the order of first appearance.

    Raises:
        ValueError: a name is also the beginning of another.
    """
    result: dict[str, Any] = {}
    for (*outer, last), value in values.items():
        level = result
        for key in outer:
            level = level.setdefault(key, {})
            if not isinstance(level, dict):
                raise ValueError(f"{key} of {'.'.join([*outer, last])} is a value already")
        if last in level:
            raise ValueError(f"{'.'.join([*outer, last])} is there twice")
        level[last] = value
    return result


def prefixed(outer: str, values: Mapping[Name, Any]) -> dict[Name, Any]:
    """Put the same values under one more outer key."""
    return {(outer, *name): value for name, value in values.items()}


@dataclass(frozen=True)
class Undefined:
    """Stands in a metric's place; the reason is a short sentence without a full stop."""

    reason: str


Measured = float | Undefined


def as_json(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return nested metrics as they are written: floats rounded, `Undefined` as null, and all reasons by dotted name.

        {"auroc": {"logical": Undefined("no ...")}}  ->  {"auroc": {"logical": None},
                                                          "reasons": {"auroc.logical": "no ..."}}

    The key "reasons" is there only when something is undefined.

    Raises:
        ValueError: a number is not finite.
    """
    reasons: dict[str, str] = {}
    written: dict[str, Any] = _as_json(metrics, "", reasons)
    return {**written, "reasons": reasons} if reasons else written


def _as_json(value: Any, name: str, reasons: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item, f"{name}.{key}" if name else key, reasons) for key, item in value.items()}
    if isinstance(value, Undefined):
        reasons[name] = value.reason
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the metric {name} is {value}")
        return rounded(value)
    return value


def rounded(value: float) -> float:
    """Round to DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")
