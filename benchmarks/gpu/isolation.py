"""Run checks in a process of their own, so that none can hide the others.

A CUDA error leaves a process without a usable GPU, out of memory may leave it without memory, and a crash ends it. So
one process runs the checks in order and reports each; where it fails or hangs, a new one continues with the next check.
"""

import logging
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.gpu.rows import Row, Run
from stages.core.run.console import set_up_logging

LOG = logging.getLogger(__name__)
Position = tuple[int, int]  # number of the topic, number of the check in it
END: Position = (-1, 0)
PATIENCE = 30.0  # seconds that a process may take to end after its last message


def run_isolated(
    topics: Sequence[str], *, small: bool, row_seconds: float, all_seconds: float, report: Callable[[Row], None]
) -> Run:
    """Run all checks of all topics.

    Args:
        topics: modules with a function `checks(setting)`, see `benchmarks.gpu.measure`.
        small: tiny networks even where there is a GPU.
        row_seconds: a check that takes longer is stopped, and a fault.
        all_seconds: what has not been run by then is a fault.
        report: is called with each row as soon as it is known.
    """
    run, position, deadline = Run(), (0, 0), time.monotonic() + all_seconds
    with tempfile.TemporaryDirectory(prefix="oddpart-gpu-") as folder:
        while position != END:
            known = len(run.rows)
            position = run_process(
                run, (list(topics), small, position, folder), row_seconds=row_seconds, deadline=deadline
            )
            for row in run.rows[known:]:
                report(row)
    return run


def run_process(run: Run, work: tuple[Any, ...], *, row_seconds: float, deadline: float) -> Position:
    """Run checks until the process ends, by itself or by force; add its rows and return where to continue.

    Args:
        run: is added to.
        work: arguments of `work_through` after the connection.
        row_seconds: see `run_isolated`.
        deadline: by `time.monotonic`.
    """
    context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA where its parent has touched it
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work_through, args=(theirs, *work), daemon=True)
    process.start()
    theirs.close()
    running, following = "start of a process", END
    try:
        while True:
            left = min(row_seconds, deadline - time.monotonic())
            if not ours.poll(max(0.0, left)):
                over = time.monotonic() >= deadline
                why = "stopped: the time of the whole run is over, and nothing after it was run"
                run.rows.append(Row(running, fault=why if over else f"stopped after {row_seconds:.0f} s"))
                return END if over else following
            kind, content = ours.recv()
            if kind == "machine":
                run.machine = content
            elif kind == "begin":
                running, following = content
            elif kind == "row":
                run.rows.append(content)
                running = ""
            else:
                process.join(PATIENCE)
                return following if kind == "again" else END
    except EOFError:
        process.join()
        if running:
            run.rows.append(Row(running, fault=f"its process ended with code {process.exitcode}"))
        return following
    finally:
        process.kill()
        process.join()
        ours.close()


def work_through(connection: Connection, topics: Sequence[str], small: bool, start: Position, folder: str) -> None:
    """Run the checks from a position on, and report them; the process ends after the first fault.

    Messages: ("machine", text), ("begin", (name, where to continue if this is the end)), ("row", Row), and last
    ("again", None) for a new process, or ("end", None).

    Args:
        connection: to the parent.
        topics: see `run_isolated`.
        small: see `run_isolated`.
        start: position of the first check.
        folder: becomes the current one: caches and checkpoints of the stages are written there.
    """
    set_up_logging()
    os.environ |= {"ODDPART_ENGINES": str(Path(folder) / "engines"), "ODDPART_FEATURES_GB": "1"}
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the Makefile: other work on the machine goes on
    os.chdir(folder)
    from benchmarks.gpu.measure import find_setting, run_check  # torch: seconds that the parent does not wait

    setting = find_setting(small=small)
    connection.send(("machine", describe_machine(setting)))
    for number in range(start[0], len(topics)):
        name = topics[number].rpartition(".")[2]
        connection.send(("begin", (f"{name}: import", (number + 1, 0))))
        try:
            checks = import_module(topics[number]).checks(setting)
        except Exception as error:  # whatever is missing or wrong there, the other topics must run
            connection.send(("row", Row(f"{name}: import", fault=f"{type(error).__name__}: {error}")))
            continue
        for position in range(start[1] if number == start[0] else 0, len(checks)):
            connection.send(("begin", (checks[position].what, (number, position + 1))))
            row = run_check(checks[position], setting)
            connection.send(("row", row))
            if row.fault is not None:
                connection.send(("again", None))
                return
    connection.send(("end", None))


def describe_machine(setting: Any) -> str:
    """Name the device, the versions and the date, for the line above the table."""
    import torch

    cuda = setting.device.type == "cuda"
    name = torch.cuda.get_device_name() if cuda else f"no GPU, {torch.get_num_threads()} CPU threads"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{name}, {versions}, {time.strftime('%Y-%m-%d')}{', small networks' if setting.small else ''}"
