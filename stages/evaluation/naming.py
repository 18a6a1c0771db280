"""Metrics by name: a tuple from the outer to the inner key, as they are nested in the metrics file."""

from collections.abc import Mapping
from typing import Any

Name = tuple[str, ...]


def nested(values: Mapping[Name, Any]) -> dict[str, Any]:
    """{("a", "b"): 1} as {"a": {"b": 1}}, in the order of first appearance.

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
