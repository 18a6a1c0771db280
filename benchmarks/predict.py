"""Time a verdict of each exported bundle, as `oddpart predict BUNDLE` gives it, after `dvc repro` with `export` on.

    python -m benchmarks.predict artifacts/export

For each bundle and number of threads a fresh process judges the bundle's own test pictures again and again, from file
to score. Cold start is from the start of that process to its first verdict; pictures/s is with the next picture decoded
while one is judged.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from commands.predict.reading import ahead, read_file
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry
from stages.core.runtime.bundle import load
from stages.core.runtime.manifest import is_bundle

THREADS = (1, 2)
PICTURES = 60
WARM = 3  # first pictures, of which the timing says nothing
COLUMNS = (
    "bundle",
    "threads",
    "p50 ms",
    "p95 ms",
    "processor ms",
    "pictures/s",
    "cold start s",
    "memory MB",
    "bundle MB",
)


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of bundles, at any depth")
    parser.add_argument("--threads", type=int, help="time the bundle FOLDER in this process, and print JSON")
    given = parser.parse_args(argv)
    if given.threads:
        sys.stdout.write(json.dumps(time_bundle(given.folder, threads=given.threads)) + "\n")
        return f"{PICTURES} pictures"
    bundles = sorted(path.parent for path in given.folder.rglob("manifest.json") if is_bundle(path.parent))
    if not bundles:
        raise UserError(f"{given.folder}: no bundle in it: add a product to `export.categories` and run `dvc repro`")
    table = Table(*COLUMNS, title=f"verdicts by bundles, {os.cpu_count()} cores")
    for bundle in bundles:
        for threads in THREADS:
            table.add_row(str(bundle.relative_to(given.folder)), str(threads), *row_of(in_new_process(bundle, threads)))
    CONSOLE.print(table)
    return f"{len(bundles)} bundles, {PICTURES} pictures each"


def in_new_process(bundle: Path, threads: int) -> dict[str, Any]:
    """Return what `time_bundle` measures, and the seconds to the first verdict."""
    started = time.time()
    command = [sys.executable, "-m", "benchmarks.predict", str(bundle), "--threads", str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    return measured | {"cold": measured["first"] - started, "size_mb": size / 1e6}


def row_of(measured: Mapping[str, Any]) -> list[str]:
    """Return the cells of the table after bundle and threads."""
    p50, p95 = np.quantile(measured["wall"], [0.5, 0.95])
    return [
        f"{p50:.0f}", f"{p95:.0f}", f"{np.median(measured['processor']):.0f}", f"{measured['rate']:.1f}",
        f"{measured['cold']:.1f}", f"{measured['peak_mb']:.0f}", f"{measured['size_mb']:.0f}",
    ]  # fmt: skip


def time_bundle(folder: Path, *, threads: int) -> dict[str, Any]:
    """Judge pictures one by one, then again with the next one read ahead.

    Returns:
        wall, processor: milliseconds of each picture, from file to score; rate: pictures a second; first: when the
        first verdict was there, in seconds since the epoch; peak_mb: largest resident memory.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    bundle = load(folder, threads=threads)
    paths = [folder / picture["file"] for picture in bundle.manifest["test_pictures"]]
    first, wall, processor = 0.0, list[float](), list[float]()
    for path in islice(cycle(paths), WARM + PICTURES):
        started, used = time.perf_counter(), time.process_time()
        bundle.judged(read_file(path, bundle.grey_range).pixels)
        wall.append(1000 * (time.perf_counter() - started))
        processor.append(1000 * (time.process_time() - used))
        first = first or time.time()
    started = time.perf_counter()
    for _, reading in ahead(lambda path: read_file(path, bundle.grey_range), islice(cycle(paths), PICTURES)):
        bundle.judged(reading.result().pixels)
    rate = PICTURES / (time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall[WARM:], "processor": processor[WARM:], "rate": rate, "first": first, "peak_mb": peak}


if __name__ == "__main__":
    main()
