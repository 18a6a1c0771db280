"""What a flow costs and gains against `dvc repro`: on made-up DAGs of sleeping stages, or on this repository's own.

    python -m benchmarks.cost.flow_overhead    # chain and branches of sleeps, about ten minutes
    python -m benchmarks.cost.flow_overhead --default --gpu-slots 1 2  # all of the default DAG, in fresh clones of HEAD
    python -m benchmarks.cost.flow_overhead --default --targets evaluation@pin_tray  # of that only what this needs

Prints wall seconds of `dvc repro` and of the flow `reproduce` (its process, a server is running already), next to
the sum of the stages' own seconds and the critical path, than which no schedule can be faster; then both again with
nothing to do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from rich.table import Table

from flows.dvc.pipeline import cost_file, read_pipeline
from flows.schedule.plan import in_order, make_plan
from flows.serve import environment, free_port, running_server
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry

ROOT = Path(__file__).parents[2]
SLEEP = """
import json, pathlib, sys, time
seconds, output, cost = float(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
time.sleep(seconds)
output.write_text(sys.argv[2])
cost.parent.mkdir(parents=True, exist_ok=True)
cost.write_text(json.dumps({"seconds": seconds}))
"""
COLUMNS = (
    "DAG", "slots", "stages", "sum", "critical path", "dvc repro", "flow", "ratio", "again: dvc repro", "again: flow",
)  # fmt: skip
Shape = Mapping[str, tuple[float, Sequence[str]]]  # stage -> seconds, the stages it needs


def chain(length: int, seconds: float) -> Shape:
    """Stages of which none can run next to another."""
    return {f"s{i:02d}": (seconds, [f"s{i - 1:02d}"] if i else []) for i in range(length)}


def branches(count: int, scale: float) -> Shape:
    """The default DAG's form and proportions: per product two short stages, two long branches, three short ends."""
    shape: dict[str, tuple[float, Sequence[str]]] = {}
    for name in [f"p{i}" for i in range(count)]:
        shape |= {
            f"download_{name}": (0.1 * scale, []),
            f"split_{name}": (0.2 * scale, [f"download_{name}"]),
            f"parts_{name}": (3 * scale, [f"split_{name}"]),
            f"segment_{name}": (4 * scale, [f"parts_{name}"]),
            f"students_{name}": (8 * scale, [f"split_{name}"]),
            f"histogram_{name}": (0.2 * scale, [f"segment_{name}"]),
            f"fusion_{name}": (0.1 * scale, [f"histogram_{name}", f"students_{name}"]),
            f"evaluation_{name}": (0.4 * scale, [f"fusion_{name}"]),
        }
    return {**shape, "report": (0.2 * scale, [f"evaluation_p{i}" for i in range(count)])}


SHAPES: dict[str, Shape] = {
    "chain, 30 x 3 s": chain(30, 3),
    "chain, 4 x 25 s": chain(4, 25),
    "2 branches, long stages 12 to 32 s": branches(2, 4),
}


def write_sleeps(root: Path, shape: Shape) -> None:
    """A git and DVC repository whose stages sleep; how long they took last time is committed, as in ours."""
    (root / "sleep.py").write_text(SLEEP, encoding="utf-8")
    (root / "params.yaml").write_text("{}\n", encoding="utf-8")
    stages = {}
    for name, (seconds, needs) in shape.items():
        stages[name] = {
            "cmd": f"python sleep.py {seconds} {name}.txt {cost_file(name)}",
            "deps": ["sleep.py", *(f"{needed}.txt" for needed in needs)],
            "outs": [f"{name}.txt"],
            "meta": {"resource": "cpu"},
        }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    (root / cost_file("x")).parent.mkdir(parents=True)
    for name, (seconds, _) in shape.items():
        (root / cost_file(name)).write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    (root / ".gitignore").write_text("/*.txt\n", encoding="utf-8")
    for command in (
        "git init -q", f"{sys.executable} -m dvc init -q", f"{sys.executable} -m dvc config core.analytics false",
        "git add -A", "git -c user.name=bench -c user.email=bench@localhost commit -qm sleeps",
    ):  # fmt: skip
        subprocess.run(command.split(), cwd=root, check=True, capture_output=True)


def timed(command: Sequence[str], *, clone: Path, variables: Mapping[str, str]) -> float:
    """Wall seconds of a command.

    Raises:
        UserError: it failed.
    """
    started = time.perf_counter()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=clone, capture_output=True, text=True, check=False,
        env={**variables, "PATH": path, "PYTHONPATH": str(ROOT), "ODDPART_CLONE": str(clone), "DVC_NO_ANALYTICS": "1"},
    )  # fmt: skip
    if done.returncode != 0:
        raise UserError(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - started


def work_of(clone: Path, targets: Sequence[str]) -> tuple[int, float, float]:
    """Stages, the sum of their seconds, and the longest way through them (a stage of unknown cost counts 0)."""
    pipeline = read_pipeline(clone).stages
    stages = make_plan(pipeline, pipeline, targets=targets).stages
    seconds = {name: stage.seconds or 0.0 for name, stage in stages.items()}
    ways: dict[str, float] = {}
    for name in in_order(stages):
        ways[name] = seconds[name] + max((ways[needed] for needed in stages[name].needs), default=0.0)
    return len(stages), sum(seconds.values()), max(ways.values())


def compare(
    table: Table, label: str, shape: Shape | None, runs: Sequence[Sequence[str]], targets: Sequence[str] = ()
) -> None:
    """One row a flow setting; every run has a clone, a cache and slots of its own.

    Args:
        shape: a made-up DAG; None for the default one in a clone of HEAD.
        runs: options of the flow.
        targets: stages to reproduce with all that they need; all if empty.
    """
    serial: list[float] = []
    for options in [None, *runs]:
        with tempfile.TemporaryDirectory(prefix="oddpart-") as folder:
            clone, home, port = Path(folder) / "clone", Path(folder) / "prefect", free_port()
            if shape is None:
                subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True, capture_output=True)
            else:
                clone.mkdir()
                write_sleeps(clone, shape)
            count, total, critical = work_of(clone, targets)
            if options is None:
                serial = [timed(["dvc", "repro", *targets], clone=clone, variables=os.environ) for _ in range(2)]
                continue
            with running_server(home, port):
                variables = {**environment(home, port), "ODDPART_SLOTS": str(Path(folder) / "slots")}
                flow = [
                    timed(["flows.reproduce", *targets, *options], clone=clone, variables=variables) for _ in range(2)
                ]
            numbers = [f"{value:.0f}" for value in (total, critical, serial[0], flow[0])]
            again = [f"{value:.1f}" for value in (serial[1], flow[1])]
            table.add_row(label, " ".join(options), str(count), *numbers, f"{flow[0] / serial[0]:.2f}", *again)


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--default", action="store_true", help="the repository's own DAG instead of sleeps")
    parser.add_argument("--gpu-slots", type=int, nargs="+", default=[1], help="with --default: a row for each")
    parser.add_argument("--targets", nargs="+", default=[], help="with --default: stages, run with what they need")
    arguments = parser.parse_args(argv)
    table = Table(*COLUMNS)
    if arguments.default:
        runs = [["--gpu-slots", str(slots)] for slots in arguments.gpu_slots]
        compare(table, "default", None, runs, arguments.targets)
    else:
        for label, shape in SHAPES.items():
            slots = ["--cpu-slots", "1" if label.startswith("chain") else "4"]
            compare(table, label, shape, [slots])
    CONSOLE.print(table)
    return f"{table.row_count} rows, seconds"


if __name__ == "__main__":
    main()
