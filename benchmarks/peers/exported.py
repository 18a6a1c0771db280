"""Time a verdict of anomalib's exported models, on the pictures and by the means of `benchmarks.predict`.

    .venv-baselines/bin/python -m benchmarks.peers.exported artifacts/export/pin_tray/oddpart

PatchCore and EfficientAD with anomalib's defaults, exported to OpenVINO and judged by its own inferencer, from file to
verdict, on one core. Weights and memory bank are random, since the trained ones are downloads: they change no timing,
and the scores say nothing. The bank has 10 % of the patches of 70 pictures, as anomalib chooses them.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.predict import PICTURES, WARM
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry
from stages.core.runtime.manifest import MANIFEST

BANK = (7_168, 1_536)  # 10 % of 32 x 32 patches of 70 pictures of 256 px, channels of WideResNet-50-2
SIDES = (256, 256)  # anomalib's default
ONE_PICTURE = {"dynamic_axes": None, "dynamic_shapes": None}  # else a graph for two at a time comes out
COLUMNS = ("model", "p50 ms", "p95 ms", "processor ms", "cold start s", "memory MB", "model MB")


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="whose test pictures are judged")
    parser.add_argument("--model", type=Path, help="time this model.xml in this process, and print JSON")
    given = parser.parse_args(argv)
    if not (given.bundle / MANIFEST).is_file():
        raise UserError(f"{given.bundle}: is no bundle: name one below artifacts/export")
    pictures = sorted((given.bundle.resolve() / "pictures").iterdir())
    if given.model:
        sys.stdout.write(json.dumps(time_model(given.model, pictures)) + "\n")
        return f"{PICTURES} pictures"
    table = Table(*COLUMNS, title="verdicts by anomalib's exported models (random weights), 1 core")
    with tempfile.TemporaryDirectory() as folder:
        for name, export in MODELS.items():
            model = export(Path(folder, name))
            table.add_row(name, *row_of(in_new_process(model, given.bundle)))
    CONSOLE.print(table)
    return f"{len(MODELS)} models"


def export_patchcore(folder: Path) -> Path:
    """Export PatchCore around WideResNet-50-2; return its model.xml."""
    import torch

    model = importlib.import_module("anomalib.models").Patchcore(pre_trained=False)
    model.model.memory_bank = torch.randn(BANK)
    return Path(model.to_openvino(export_root=folder, input_size=SIDES, onnx_kwargs=ONE_PICTURE))


def export_efficient_ad(folder: Path) -> Path:
    """Export the small EfficientAD; return its model.xml."""
    model = importlib.import_module("anomalib.models").EfficientAd()
    return Path(model.to_openvino(export_root=folder, input_size=SIDES, onnx_kwargs=ONE_PICTURE))


MODELS: dict[str, Callable[[Path], Path]] = {"PatchCore": export_patchcore, "EfficientAD-S": export_efficient_ad}


def in_new_process(model: Path, bundle: Path) -> dict[str, Any]:
    """Return what `time_model` measures, the seconds to the first verdict and the size of the files."""
    started = time.time()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.exported", str(bundle), "--model", str(model)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    size = sum(path.stat().st_size for path in (model, model.with_suffix(".bin")))
    return measured | {"cold": measured["first"] - started, "size_mb": size / 1e6}


def time_model(model: Path, pictures: Sequence[Path]) -> dict[str, Any]:
    """Judge pictures one by one by anomalib's inferencer.

    Returns:
        wall, processor: milliseconds of each picture, from file to verdict; first: when the first verdict was there, in
        seconds since the epoch; peak_mb: largest resident memory.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with chdir(model.parent):  # it keeps compiled models in the current folder: 270 MB each, and no start is cold again
        inferencer = importlib.import_module("anomalib.deploy").OpenVINOInferencer(
            path=model, device="CPU", config={"INFERENCE_NUM_THREADS": 1}
        )
    first, wall, processor = 0.0, list[float](), list[float]()
    for path in islice(cycle(pictures), WARM + PICTURES):
        started, used = time.perf_counter(), time.process_time()
        inferencer.predict(path)
        wall.append(1000 * (time.perf_counter() - started))
        processor.append(1000 * (time.process_time() - used))
        first = first or time.time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall[WARM:], "processor": processor[WARM:], "first": first, "peak_mb": peak}


def row_of(measured: Mapping[str, Any]) -> list[str]:
    """Return the cells of the table after the model."""
    p50, p95 = np.quantile(measured["wall"], [0.5, 0.95])
    return [
        f"{p50:.0f}", f"{p95:.0f}", f"{np.median(measured['processor']):.0f}", f"{measured['cold']:.1f}",
        f"{measured['peak_mb']:.0f}", f"{measured['size_mb']:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
