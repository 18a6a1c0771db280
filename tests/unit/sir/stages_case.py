"""Two drawn categories and the commands of SIR's stages, run in the folder where they lie."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from stages.core.io.result import read_scores
from stages.core.io.tables import write_images
from stages.sir.features.__main__ import main as features
from stages.sir.scores.__main__ import main as scores
from stages.sir.specialised.__main__ import main as specialised
from stages.sir.train.__main__ import main as universal
from tests.params_files import write_params
from tests.unit.sir.case import DECODER, TRAINING

SIZE = 64
PARAMS: dict[str, Any] = {
    "profile": "smoke",
    "seed": 0,
    "sir": {"categories": {"stripes": {}, "squares": {}}},
    "profiles": {
        "smoke": {
            "sir": {
                "teacher": {
                    "name": "tf_efficientnet_lite0", "stages": [2, 3], "image_size": SIZE, "images": None,
                    "views": ["plain"],
                },
                "decoder": {**DECODER, "widths": [8, 16], "loops": 2, "standardise": True},
                "training": {**TRAINING, "one_shot": {"iterations": 60, "draws": 2}, "learning_rate": 0.02,
                             "schedule": "one_cycle"},
                "maps": {"loops": "last", "fusion": "sum", "sigma": 2.0, "pooled_share": 0.0},
            }
        }
    },
}  # fmt: skip
SECTION = "profiles.smoke.sir"


def draw(category: str, *, defective: bool, noise: np.random.Generator) -> Image.Image:
    rows, columns = np.indices((SIZE, SIZE))
    pattern = (rows % 16 < 8) if category == "stripes" else (rows % 16 < 8) ^ (columns % 16 < 8)
    image = 90.0 + 60 * pattern[..., None] + noise.integers(0, 9, (SIZE, SIZE, 1)) + np.zeros(3)
    if defective:
        image[36:56, 8:28] = (230, 30, 30)
    return Image.fromarray(image.astype(np.uint8))


def write_drawn(root: Path) -> Path:
    """Params and two categories, some images saved as grey; test/bad and validation/0#synthetic have a red square."""
    write_params(root, PARAMS)
    noise = np.random.default_rng(0)
    rows = [(f"train/{n}", "train") for n in range(5)] + [(f"validation/{n}", "validation") for n in range(2)]
    rows += [("validation/0#synthetic", "synthetic"), ("test/good", "test"), ("test/bad", "test")]
    for category in ("stripes", "squares"):
        (root / category / "images").mkdir(parents=True)
        files = []
        for number, (image_id, split) in enumerate(rows):
            picture = draw(category, defective=image_id in ("test/bad", "validation/0#synthetic"), noise=noise)
            if number in (0, 8):
                picture = picture.convert("L")
            picture.save(root / category / "images" / f"{number}.png")
            files.append((image_id, f"{number}.png", split))
        table = pd.DataFrame(files, columns=["image_id", "file", "split"])
        write_images(root / category / "images.parquet", table)
    return root


def paths(category: str) -> list[str]:
    return ["--images", f"{category}/images.parquet", "--image-files", f"{category}/images"]


def cache(*categories: str) -> None:
    for category in categories:
        features([*paths(category), "--category", category, "--features", f"features/{category}"])


def train(method: str, category: str | None = None) -> Path:
    name = f"{method}-{category}"
    writes = ["--model", f"{name}.safetensors", "--choice", f"{name}.json", "--curve", f"{name}.csv"]
    if category is None:
        universal(["--features", "features", "--method", method, *writes])
    else:
        specialised(["--features", f"features/{category}", "--method", method, "--category", category, *writes])
    return Path(f"{name}.safetensors")


def score(category: str, model: Path, name: str) -> pd.DataFrame:
    scores([*paths(category), "--model", str(model), "--scores", name])
    return read_scores(Path(name) / "scores.parquet").set_index("image_id")
