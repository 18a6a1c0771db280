"""What stage instances cost, and the sum of those that a method needs.

The files lie in `<folder>/<key>/<stage>.json`, with the key that DVC shows after the @ of an instance: a category, a
method of a family, or `<method>-<category>`.
"""

from collections.abc import Mapping
from pathlib import Path

from stages.core.io.decision import read_choice as read_json
from stages.core.run.methods import Methods

Costs = Mapping[str, Mapping[str, float]]  # "<key>/<stage>" -> {"seconds": ..., "peak_mb": ...}


def read_costs(folder: Path) -> Costs:
    """Read the cost of every stage instance; empty where nothing ran yet.

    Raises:
        UserError: a file is not JSON.
    """
    paths = sorted(folder.rglob("*.json"))
    return {path.relative_to(folder).with_suffix("").as_posix(): read_json(path) for path in paths}


def seconds_of(costs: Costs, methods: Methods, *, category: str, method: str) -> float | None:
    """Add up the seconds of a method's stages on a category; None when one of them is not known.

    The whole cost of an instance that works for several categories counts for each of them.
    """
    total = 0.0
    for stage in methods.stages_of(method):
        keys = (f"{key}/{stage}" for key in (category, f"{method}-{category}", method))
        known = next((costs[key] for key in keys if key in costs), None)
        if known is None:
            return None
        total += float(known["seconds"])
    return total
