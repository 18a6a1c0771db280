"""Inputs of the evaluation stage: a small product with a bright spot where the defect is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from stages.core.io.maps import write_anomaly_maps
from stages.core.io.result import write_scores
from stages.core.io.truth import write_truth

PARAMS = """
seed: 0
evaluation: {false_alarm_budget: 0.2, aupro_max_false_positive_rate: 0.3, spro_max_false_positive_rates: [0.05, 1.0],
             confidence: 0.95, bootstrap_resamples: 50, unsure_confidence: 0.9}
categories: {tray: {}}
report: {stages_of_method: {ours: [first, second]}, off_by_default: []}
inctrl: {categories: {}}
madclip: {categories: {}}
uninformed_students: {categories: {}}
sir: {categories: {}, universal: [], specialised: []}
"""
KINDS = ["normal"] * 10 + ["normal"] * 4 + ["logical"] * 3 + ["structural"] * 3


def make_case(root: Path, *, scores: Sequence[float] | None = None, maps: bool = True) -> list[str]:
    """Ten validation normals and ten test images with a bright spot where the defect is; returns the arguments."""
    generator = np.random.default_rng(0)
    split = root / "split"
    for folder in ("images", "masks"):
        (split / folder).mkdir(parents=True)
    rows, spots = [], []
    for number, kind in enumerate(KINDS):
        image = generator.integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(image).save(split / "images" / f"{number}.png")
        mask = np.zeros((20, 30), dtype=np.uint8)
        mask[4:8, 6:12] = 255 * (kind != "normal")
        files = [f"{number}_0.png"] if kind != "normal" else []
        for name in files:
            Image.fromarray(mask).save(split / "masks" / name)
        part = "validation" if number < 10 else "test"
        rows.append((f"{part}/ä {number:02d}", f"{number}.png", part, f"{part}/ä {number:02d}.png", kind != "normal",
                     kind, f"{kind}_x" if kind != "normal" else "good", files, "0" * 64, 30, 20))  # fmt: skip
        spots.append(generator.normal(size=(5, 6)) * 0.1 + (mask[2::4, 2::5] > 0))
    columns = ("image_id", "file", "split", "source_path", "is_anomalous", "kind", "defect_type", "mask_files",
               "sha256", "width", "height")  # fmt: skip
    truth = pd.DataFrame(rows, columns=columns)
    write_truth(split / "truth.parquet", truth)
    values = [*range(10), 3.0, 4.0, 5.0, 8.5, *range(7, 13)] if scores is None else scores
    table = truth[["image_id", "split"]].assign(score=np.array(values, dtype=float))
    write_scores(root / "scores" / "scores.parquet", table.assign(**{"local-student": table["score"] * 2}))
    if maps:
        write_anomaly_maps(root / "scores" / "maps", truth["image_id"].tolist(), np.array(spots, dtype=np.float16))
    plots = "metrics/plots/ours/tray"
    outputs = {"metrics": "metrics/ours/tray.json", "intervals": "metrics/intervals/ours/tray.json",
               "test-scores": "metrics/scores/ours/tray.csv", "score-histogram": f"{plots}/scores.csv",
               "overview": f"{plots}/overview.jpg", "results": "evaluations/ours/tray",
               **{name: f"{plots}/{name.replace('-', '_')}.csv" for name in ("roc", "precision-recall", "confusion")},
               }  # fmt: skip
    inputs = {"scores": "scores", "truth": "split/truth.parquet", "image-files": "split/images",
              "mask-files": "split/masks"}  # fmt: skip
    paths = [part for name, path in {**inputs, **outputs}.items() for part in (f"--{name}", str(root / path))]
    return [*paths, "--method", "ours", "--category", "tray"]
