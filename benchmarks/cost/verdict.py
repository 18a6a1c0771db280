"""Time a verdict: from file to score, by the trained parts of the default methods, after `dvc repro`.

    python -m benchmarks.cost.verdict pin_tray

For each method and number of threads a fresh process scores the product's pictures one by one, as `oddpart predict`
does, heatmaps left aside. Cold start is from the start of that process to its first verdict.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from commands.predict.parts import trained_files
from stages.core.io.tables import image_files
from stages.core.run.console import CONSOLE
from stages.core.run.stage import command_entry
from stages.export.recipes import RECIPES

THREADS = (1, 2)
PICTURES = 100
WARM = 5  # first pictures, of which the timing says nothing
COLUMNS = ("method", "threads", "p50 ms", "p95 ms", "processor ms", "images/s", "cold start s", "memory MB")


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category")
    parser.add_argument("--method", choices=tuple(RECIPES), help="time this one in this process, and print JSON")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(argv)
    if given.method:
        sys.stdout.write(json.dumps(time_verdicts(given.category, given.method, threads=given.threads)) + "\n")
        return f"{PICTURES} pictures"
    table = Table(*COLUMNS, title=f"verdicts on {given.category}, {os.cpu_count()} cores")
    for method in RECIPES:
        for threads in THREADS:
            table.add_row(method, str(threads), *row_of(time_in_new_process(given.category, method, threads=threads)))
    CONSOLE.print(table)
    return f"{len(RECIPES)} methods, {PICTURES} pictures each"


def time_in_new_process(category: str, method: str, *, threads: int) -> dict[str, Any]:
    """Return what `time_verdicts` measures, and the seconds to the first verdict."""
    command = [sys.executable, "-m", "benchmarks.cost.verdict", category, "--method", method]
    started = time.time()
    done = subprocess.run([*command, "--threads", str(threads)], check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return measured | {"cold": measured["first"] - started}


def row_of(measured: Mapping[str, Any]) -> list[str]:
    """Return the cells of the table after method and threads."""
    wall, processor = measured["wall"], measured["processor"]
    p50, p95 = np.quantile(wall, [0.5, 0.95])
    return [
        f"{p50:.0f}", f"{p95:.0f}", f"{np.median(processor):.0f}", f"{1000 / np.mean(wall):.1f}",
        f"{measured['cold']:.1f}", f"{measured['peak_mb']:.0f}",
    ]  # fmt: skip


def time_verdicts(category: str, method: str, *, threads: int) -> dict[str, Any]:
    """Score pictures one by one in this process.

    Returns:
        wall, processor: milliseconds of each picture, decoding included; first: when the first verdict was there, in
        seconds since the epoch; peak_mb: largest resident memory.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # `pick_device` takes as many threads
    from stages.core.encoder.device import pick_device
    from stages.core.runtime.pictures import read_picture
    from stages.export.parts import load_parts, predict

    parts = load_parts(trained_files(category, method), device=pick_device())
    files = sorted(image_files(Path("artifacts/split", category, "inputs")).iterdir())[: PICTURES + WARM]
    wall, processor, first = [], [], 0.0
    for file in files:
        started, worked = time.perf_counter(), time.process_time()
        prediction = predict(parts, read_picture(file, parts.grey_range))
        parts.calibration.calls(prediction.score)
        wall.append(1000 * (time.perf_counter() - started))
        processor.append(1000 * (time.process_time() - worked))
        first = first or time.time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall[WARM:], "processor": processor[WARM:], "first": first, "peak_mb": peak}


if __name__ == "__main__":
    main()
