"""What every stage's last run cost, in one file that git tracks: the stages' own files lie in DVC's cache.

JSON that other stages wrote.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError

Costs = Mapping[str, Mapping[str, float]]  # "<category>/<stage>" -> {"seconds": ..., "peak_mb": ...}


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}): delete it and run `dvc repro`") from None


def collect_costs(folder: Path) -> Costs:
    """Read every `folder`/<category>/<stage>.json.

    Raises:
        UserError: a file is not JSON.
    """
    paths = sorted(folder.rglob("*.json"))
    return {path.relative_to(folder).with_suffix("").as_posix(): read_json(path) for path in paths}


def write_costs(path: Path, costs: Costs) -> None:
    """Write one line a stage, so that two versions can be compared."""
    lines = ",\n".join(f"  {json.dumps(stage)}: {json.dumps(cost)}" for stage, cost in costs.items())
    with replacing_file(path) as temporary:
        temporary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def read_costs(path: Path) -> Costs:
    """What `write_costs` wrote; {} where the report has not run yet.

    Raises:
        UserError: the file is not JSON.
    """
    costs: Costs = read_json(path) if path.exists() else {}
    return costs


def total_seconds(costs: Costs, category: str, stages: Sequence[str]) -> float | None:
    """Sum of the stages' seconds; None when one of them wrote none.

    Args:
        stages: of the category, or with their folder where they work for several categories.
    """
    names = [stage if "/" in stage else f"{category}/{stage}" for stage in stages]
    return sum(float(costs[name]["seconds"]) for name in names) if costs.keys() >= set(names) else None
