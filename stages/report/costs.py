"""What every stage's last run cost, in one file that git tracks: the stages' own files lie in DVC's cache."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.core.running.atomic import replacing_file
from stages.report.json_files import read_json

Costs = Mapping[str, Mapping[str, float]]  # "<category>/<room>" -> {"seconds": ..., "peak_mb": ...}


def collect_costs(folder: Path) -> Costs:
    """Read every `folder`/<category>/<room>.json.

    Raises:
        UserError: a file is not JSON.
    """
    paths = sorted(folder.rglob("*.json"))
    return {path.relative_to(folder).with_suffix("").as_posix(): read_json(path) for path in paths}


def write_costs(path: Path, costs: Costs) -> None:
    """Write one line a room, so that two versions can be compared."""
    lines = ",\n".join(f"  {json.dumps(room)}: {json.dumps(cost)}" for room, cost in costs.items())
    with replacing_file(path) as temporary:
        temporary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def read_costs(path: Path) -> Costs:
    """What `write_costs` wrote; {} where the report has not run yet.

    Raises:
        UserError: the file is not JSON.
    """
    costs: Costs = read_json(path) if path.exists() else {}
    return costs


def total_seconds(costs: Costs, category: str, rooms: Sequence[str]) -> float | None:
    """Sum of the rooms' seconds; None when one of them wrote none.

    Args:
        rooms: of the category, or with their folder where they work for several categories.
    """
    names = [room if "/" in room else f"{category}/{room}" for room in rooms]
    return sum(float(costs[name]["seconds"]) for name in names) if costs.keys() >= set(names) else None
