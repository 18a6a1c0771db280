"""What our own methods cost, in the columns of the peers' table."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from commands.predict.parts import trained_files
from stages.core.encoder.device import pick_device
from stages.core.run.methods import load_methods
from stages.export.parts import load_parts, predict

OWN = ("oddpart", "aecsad", "patchcore")
COUNTED = 20  # pictures whose time is measured, after the first


def own_costs(category: str, *, size: int, metrics: Path) -> dict[str, dict[str, Any]]:
    """Return the costs of each of our methods on a product that was trained in this repository.

    Seconds and memory are those that the stages wrote, scoring of all images included; the time of an image is measured
    now, on noise, which no stage has features of.

    Raises:
        UserError: the product has no trained parts.
    """
    found: dict[str, dict[str, Any]] = {}
    for method in OWN:
        files = trained_files(category, method)
        stages = [json.loads((metrics / "cost" / category / f"{stage}.json").read_text(encoding="utf-8"))
                  for stage in load_methods().stages_of(method)]  # fmt: skip
        parts = load_parts(files, device=pick_device())
        pictures = np.random.default_rng(0).integers(0, 256, (COUNTED + 1, size, size, 3), dtype=np.uint8)
        predict(parts, pictures[0])
        started = time.perf_counter()
        for picture in pictures[1:]:
            predict(parts, picture)
        found[method] = {
            "fit_seconds": round(sum(stage["seconds"] for stage in stages), 1),
            "milliseconds_an_image": round(1000 * (time.perf_counter() - started) / COUNTED, 1),
            "peak_mb": max(stage["peak_mb"] for stage in stages),
            "stored_mb": round(sum(path.stat().st_size for path in files.paths.values() if path.is_file()) / 1e6, 1),
        }
    return found
