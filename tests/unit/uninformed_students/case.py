"""Drawn images with a defect and short settings, and the stage on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from stages.core.io.result import read_result
from stages.core.io.tables import write_images
from stages.uninformed_students.__main__ import main
from tests.params_files import write_params

SIZE = 48
RESIZE = {"name": "Resize", "size": SIZE}
END = [{"name": "ToImage"}, {"name": "Normalize", "mean": [0.498] * 3, "std": [0.502] * 3}]
TRAINING: dict[str, Any] = {"optimizer": "adamw", "schedule": "one_cycle", "learning_rate": 0.005, "weight_decay": 0.0}
PARAMS: dict[str, Any] = {
    "profile": "smoke",
    "seed": 0,
    "profiles": {
        "smoke": {
            "uninformed_students": {
                "cpu_threads": None, "width": 0.06, "stride": 4,
                "backbone": {"name": "tf_efficientnet_lite0", "stages": [1]},
                "teacher": {
                    "kind": "distilled", "patch_sizes": [17], "tile": 48, "standardise": True,
                    "training": {**TRAINING, "iterations": 25, "batch_size": 16}, "crops_per_image": 4,
                    "compactness_weight": 0.001,
                    "augmentation": [RESIZE, {"name": "RandomCrop", "size": "patch_size"}, *END],
                },
                "students": {
                    "count": 2, "training": {**TRAINING, "iterations": 40, "batch_size": 1},
                    "augmentation": [RESIZE, *END],
                },
                "inference": [RESIZE, *END], "normalization": "none", "variance_weight": 1.0,
                "pooled_cells": 2,
            }
        }
    },
}  # fmt: skip
SECTION = "profiles.smoke.uninformed_students"
SHORT = {f"{SECTION}.{part}.training.iterations": 3 for part in ("teacher", "students")}


def draw(*, defective: bool, noise: np.random.Generator) -> np.ndarray:
    image = np.full((SIZE, SIZE, 3), 90) + 60 * (np.arange(SIZE) % 16 < 8)[:, None, None]
    image = image + noise.integers(0, 9, (SIZE, SIZE, 1))
    if defective:
        image[28:44, 8:24] = 230
    return image.astype(np.uint8)


def write_drawn(tmp_path: Path) -> Path:
    """Striped images, one saved as grey; test/bad and validation/0#synthetic have a bright square."""
    write_params(tmp_path, PARAMS)
    (tmp_path / "inputs/images").mkdir(parents=True)
    noise = np.random.default_rng(0)
    rows = [(f"train/{n}", "train") for n in range(6)] + [(f"validation/{n}", "validation") for n in range(2)]
    rows += [("validation/0#synthetic", "synthetic"), ("validation/x", "validation_anomalous")]
    rows += [("test/good", "test"), ("test/bad", "test")]
    files = []
    for number, (image_id, split) in enumerate(rows):
        picture = Image.fromarray(draw(defective=image_id in ("test/bad", "validation/0#synthetic"), noise=noise))
        if number in (0, 10):
            picture = picture.convert("L")
        picture.save(tmp_path / "inputs/images" / f"{number}.png")
        files.append((image_id, f"{number}.png", split))
    write_images(tmp_path / "inputs", pd.DataFrame(files, columns=["image_id", "file", "split"]))
    return tmp_path


def run(name: str) -> pd.DataFrame:
    paths = ["--scores", name, "--model", f"{name}.safetensors", "--curve", f"{name}.csv"]
    main(["--inputs", "inputs", *paths])
    return read_result(Path(name)).scores.set_index("image_id")
