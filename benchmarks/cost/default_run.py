"""What the default run costs in a clone of HEAD, in which nothing is cached: stage by stage, and what is between.

    python -m benchmarks.cost.default_run            # some ten minutes
    python -m benchmarks.cost.default_run --keep DIR # the clone stays in DIR, which must not exist

Processor time is user and system time of all processes, which other work on the machine changes little; wall time is
for orientation. "Outside stages" is what DVC and the hashing of files take. A pass is one image through the frozen
encoder at one size, those of copies with a synthetic defect included, without the crops of single components; pictures
are those of the products, test images included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry

ROOT = Path(__file__).parents[2]
DVC = (sys.executable, "-m", "dvc")
SPLITS = ("train", "validation", "test")
CROPS = "cluster"  # encodes pictures of single components, by the thousand and small
SCRATCH = ("ODDPART_ENGINES", "ODDPART_FEATURES_GB")  # settings of this shell would warm or change the clone's run


Costs = dict[tuple[str, str], dict[str, float]]  # (stage, product) -> what metrics/cost says


@dataclass(frozen=True)
class Usage:
    """What a command took: seconds on the clock, and of all its processes' processor time."""

    wall: float
    processor: float


@command_entry
def main(argv: Sequence[str]) -> str:
    """Run the pipeline in a clone, then with nothing to do, and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for the clone")
    keep = parser.parse_args(argv).keep
    with clone(keep) as folder:
        runs = {
            "dvc repro, nothing cached": run(folder, "repro"),
            "dvc repro, nothing to do": run(folder, "repro"),
            "dvc status": run(folder, "status"),
        }
        costs = read_costs(folder / "metrics/cost")
        print_stages(costs, whole=runs["dvc repro, nothing cached"])
        print_runs(runs, lock_lines=len((folder / "dvc.lock").read_text(encoding="utf-8").splitlines()))
        passes = sum(cost.get("encoder_passes", 0) for (stage, _), cost in costs.items() if stage != CROPS)
        pictures = count_pictures(folder / "metrics/split")
    peak, whole = max(cost["peak_mb"] for cost in costs.values()), runs["dvc repro, nothing cached"]
    return (
        f"{whole.processor / 60:.1f} processor-minutes and {whole.wall / 60:.1f} minutes of wall time, "
        f"{passes / pictures:.2f} encoder passes a picture, at most {peak:.0f} MB of memory"
    )


@contextmanager
def clone(keep: Path | None) -> Iterator[Path]:
    """Clone HEAD, without what DVC has cached, into a folder that is deleted at the end unless a name is given.

    Raises:
        UserError: the folder exists.
    """
    if keep is not None and keep.exists():
        raise UserError(f"{keep} exists: name a folder that does not, or remove it")
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch) / "oddpart"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        (folder / "dvc.lock").unlink()
        yield folder


def run(folder: Path, *words: str) -> Usage:
    """Run a DVC command in a folder.

    Raises:
        UserError: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in SCRATCH}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run([*DVC, *words], cwd=folder, env=environment, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise UserError(f"`dvc {' '.join(words)}` failed in {folder}: see above")
    return Usage(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def read_costs(folder: Path) -> Costs:
    """Read each stage instance's cost, by (stage, product)."""
    return {
        (path.stem, path.parent.name): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*/*.json"))
    }


def count_pictures(folder: Path) -> int:
    """Count the images of all products in what the split wrote."""
    counts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sum(sum(count[part].values()) for count in counts for part in SPLITS)


def print_stages(costs: Costs, *, whole: Usage) -> None:
    """Print processor seconds by stage and product, passes, memory, and what is left of the whole run."""
    products = sorted({product for _, product in costs})
    table = Table("stage", *(f"{product}, processor s" for product in products), "encoder passes", "peak MB")
    by_stage: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for (stage, product), cost in costs.items():
        by_stage[stage][product] = cost
    for stage, found in by_stage.items():
        seconds = [f"{found[product]['processor_seconds']:.1f}" if product in found else "-" for product in products]
        passes = sum(one.get("encoder_passes", 0) for one in found.values())
        table.add_row(stage, *seconds, f"{passes:.0f}", f"{max(one['peak_mb'] for one in found.values()):.0f}")
    inside = sum(cost["processor_seconds"] for cost in costs.values())
    table.add_row("report, and outside stages", f"{whole.processor - inside:.1f}")
    CONSOLE.print(table)


def print_runs(runs: dict[str, Usage], *, lock_lines: int) -> None:
    """Print what whole commands took."""
    table = Table("command", "processor s", "wall s", title=f"dvc.lock: {lock_lines} lines")
    for name, usage in runs.items():
        table.add_row(name, f"{usage.processor:.1f}", f"{usage.wall:.1f}")
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
