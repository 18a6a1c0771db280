"""How long pixel metrics take, and how much memory: `python -m benchmarks.cost.pixel_metrics [images]`.

Noise maps of 32 x 32 cells for images of 256 x 256 pixels, half of them with two defects that saturate; AUROC, average
precision, AUPRO and AU-sPRO at five limits, for three groups, with 1,000 resamples for the intervals.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from stages.core.run.console import CONSOLE
from stages.core.run.stage import command_entry
from stages.evaluation.intervals import Resampling
from stages.evaluation.pixel_metrics import PixelLimits, pixel_metrics

SIZE, CELLS = 256, 32
LIMITS = PixelLimits(0.3, (0.01, 0.05, 0.1, 0.3, 1.0))
KINDS = ("normal", "logical", "normal", "structural")
DEFECTS = [
    {"defect_name": name, "pixel_value": value, "saturation_threshold": threshold, "relative_saturation": relative}
    for name, value, threshold, relative in (("missing", 255, 300, False), ("scratch", 254, 1.0, True))
]


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=int, nargs="?", default=500)
    count = parser.parse_args(argv).images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maps, test = make_images(folder, count)
        before = peak_megabytes()
        for resamples in (1, 1000):
            started = time.perf_counter()
            resampling = Resampling(resamples, 0.95, seed=0)
            pixel_metrics(test, {"noise": maps}, folder, limits=LIMITS, resampling=resampling)
            CONSOLE.print(f"{count} images, {resamples} resamples: {time.perf_counter() - started:.1f} s")
    return f"peak memory grew by {peak_megabytes() - before} MB"


def make_images(folder: Path, count: int) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Make maps by image_id and the table of images; their masks are written to the folder."""
    random = np.random.default_rng(0)
    (folder / "defects_config.json").write_text(json.dumps(DEFECTS), encoding="utf-8")
    maps, rows = {}, []
    for number in range(count):
        kind, image_id, files = KINDS[number % len(KINDS)], f"{number:05d}", []
        maps[image_id] = random.normal(size=(CELLS, CELLS)).astype(np.float16)
        for value in (255, 254) if kind != "normal" else ():
            mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
            top, left = random.integers(0, SIZE - 48, 2)
            mask[top : top + random.integers(8, 48), left : left + random.integers(8, 48)] = value
            files.append(f"{image_id}_{value}.png")
            Image.fromarray(mask).save(folder / files[-1])
        rows.append((image_id, kind, kind != "normal", files, SIZE, SIZE))
    columns = ["image_id", "kind", "is_anomalous", "mask_files", "height", "width"]
    return maps, pd.DataFrame(rows, columns=columns)


def peak_megabytes() -> int:
    """Return the highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
