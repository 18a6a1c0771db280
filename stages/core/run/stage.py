"""What every stage has in common: arguments, errors, timing, and no life after DVC's death."""

import argparse
import functools
import gc
import json
import logging
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from stages.core.run.atomic import replacing_file
from stages.core.run.console import set_up_logging
from stages.core.run.errors import UserError, machine_problem
from stages.core.run.parent import DVC_MARK, die_with_dvc, unwinding_on_sigterm

LOG = logging.getLogger(__name__)
COUNTED: Counter[str] = Counter()  # what a run did and its cost should name, e.g. encoder passes
COUNTING = Lock()
COSTS = Path("metrics/cost")
EXPORT = "export"

Main = Callable[[Sequence[str]], str]


def stage_entry(main: Main) -> Callable[..., None]:
    """Turn `main`, which returns its closing counts ("420 images scored"), into a stage's entry point.

    Run as a command, the process dies with its DVC: a killed `dvc repro` would else leave the stage running
    and a rerun would start a second copy on the same output. A UserError ends the process with code 1 and one
    message. The last log line gives the counts and the seconds; `write_cost` keeps time and memory.
    """

    @functools.wraps(main)
    def entry(argv: Sequence[str] | None = None) -> None:
        if argv is None:
            die_with_dvc()
            freeze_modules()
        with unwinding_on_sigterm():
            run(main, sys.argv[1:] if argv is None else argv, cost=cost_file(os.environ.get(DVC_MARK, "")))

    return entry


def freeze_modules() -> None:
    """Spare the end of the process the search for garbage in imported modules, half a second for torch's.

    Not where Triton is among them, which torchvision imports: it would report all of its types as leaks.
    """
    if "triton" not in sys.modules:
        gc.freeze()


def command_entry(main: Main) -> Callable[..., None]:
    """Do as `stage_entry`, for a command that people start themselves: it outlives its parent and writes no cost.

    Interrupted by Ctrl-C it ends with code 130 and one message.
    """

    @functools.wraps(main)
    def entry(argv: Sequence[str] | None = None) -> None:
        try:
            run(main, sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt:
            LOG.error("%s: interrupted", stage_of(main))
            sys.exit(130)

    return entry


def run(main: Main, argv: Sequence[str], *, cost: Path | None = None) -> None:
    """Run `main`, log its closing line and write its cost; what a user can put right ends the process with code 1."""
    started = time.perf_counter()
    COUNTED.clear()
    set_up_logging()
    try:
        counts = main(argv)
    except UserError as error:
        LOG.error("%s", error)
        sys.exit(1)
    except OSError as error:
        if (problem := machine_problem(error)) is None:
            raise
        LOG.error("%s", problem)
        sys.exit(1)
    seconds = time.perf_counter() - started
    if cost is not None:
        try:
            write_cost(cost, seconds)
        except OSError as error:  # the work is done: a number that people read must not undo it
            LOG.warning("%s: the cost is not kept (%s)", cost, error)
    LOG.info("%s: %s in %.1f s", stage_of(main), counts, seconds)


def stage_of(main: Main) -> str:
    """Return the package of an entry point, also when it was started with `python -m`."""
    specification = sys.modules[main.__module__].__spec__
    return main.__module__ if specification is None else specification.name.removesuffix(".__main__")


def parse_paths(
    argv: Sequence[str],
    *,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    values: Sequence[str] = (),
    about: str | None,
) -> argparse.Namespace:
    """Parse `--name PATH` options: inputs that must exist, outputs whose folders are made, and plain strings.

    Args:
        reads, writes, values: option names with underscores; "label_maps" is given as `--label-maps`.
        about: the module's docstring, for `--help`.

    Returns:
        A namespace with a Path for each of reads and writes, and a str for each of values.

    Raises:
        UserError: an input does not exist.
    """
    parser = argparse.ArgumentParser(description=about)
    for name in (*reads, *writes):
        parser.add_argument(_option(name), type=Path, required=True)
    for name in values:
        parser.add_argument(_option(name), required=True)
    paths = parser.parse_args(argv)
    for name in reads:
        if not getattr(paths, name).exists():
            raise UserError(f"{getattr(paths, name)} ({_option(name)}) does not exist: run `dvc repro` to make it")
    for name in writes:
        getattr(paths, name).parent.mkdir(parents=True, exist_ok=True)
    return paths


def cost_file(instance: str) -> Path | None:
    """Return where a stage instance keeps its cost: `cluster@pin_tray` in metrics/cost/pin_tray/cluster.json.

    No output of the stage, so that a result from DVC's cache keeps the seconds of the run that made it and dvc.lock
    stays short. None for a stage of the whole pipeline, the report, which reads that folder; for the export, which is
    part of no method's cost and may run after the report; and outside DVC.
    """
    stage, _, key = instance.partition("@")
    return COSTS / key / f"{stage}.json" if key and stage != EXPORT else None


def count(what: str, number: int) -> None:
    """Count what the run's cost should name, from any thread."""
    with COUNTING:
        COUNTED[what] += number


def write_cost(path: Path, seconds: float) -> None:
    """Write what the run cost.

    That is "seconds" of wall time, "processor_seconds" since the process began, imports included, "peak_mb", the
    highest resident memory so far, and what was COUNTED.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "seconds": round(seconds, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": usage.ru_maxrss // 1024,
        **COUNTED,
    }
    text = json.dumps(cost)
    with replacing_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
