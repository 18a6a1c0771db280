"""Made-up teacher features and drawn categories for the tests of SIR, and its stages' commands on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from stages.core.io.result import read_result
from stages.core.io.tables import write_images
from stages.sir.features.__main__ import main as features_main
from stages.sir.model.decoder import RefinementDecoder
from stages.sir.model.feature_files import TeacherFeatures, read_features, writing_features
from stages.sir.model.params import DecoderParams, TrainingParams
from stages.sir.scores.__main__ import main as scores_main
from stages.sir.specialised.__main__ import main as specialised_main
from stages.sir.universal.__main__ import main as universal_main
from tests.params_files import write_params

SIZE = 64

DECODER: dict[str, Any] = {
    "widths": [8, 8], "blocks": 1, "entry": "all", "norm": "group", "groups": 4, "loops": 3, "share_weights": True,
    "detach_loops": False, "standardise": False,
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "one_shot": {"iterations": 12, "repetitions": 2, "shift": 0}, "full_shot": {"iterations": 12, "batch_size": 3},
    "loss_loops": "mean",
    "stage_weights": [1.0, 1.0], "optimizer": "adamw", "schedule": "constant", "learning_rate": 0.01,
    "weight_decay": 0.0,
}  # fmt: skip
TEACHER: dict[str, Any] = {"name": "made up", "stages": [2, 3], "image_size": SIZE}
PARAMS: dict[str, Any] = {
    "profile": "smoke",
    "seed": 0,
    "methods": {"sir": {"categories": {"stripes": {}, "squares": {}}}},
    "profiles": {
        "smoke": {
            "sir": {
                "teacher": {
                    "name": "tf_efficientnet_lite0", "stages": [2, 3], "image_size": SIZE, "images": None,
                    "views": ["plain"], "one_shot": None,
                },
                "decoder": {**DECODER, "widths": [8, 16], "loops": 2, "standardise": True},
                "training": {**TRAINING, "one_shot": {"iterations": 60, "repetitions": 2, "shift": 0},
                             "learning_rate": 0.02, "schedule": "one_cycle"},
                "maps": {"loops": "last", "fusion": "sum", "sigma": {"one_shot": 2.0, "full_shot": 2.0},
                         "normalization": "none", "pooled_share": 0.0},
            }
        }
    },
}  # fmt: skip
SECTION = "profiles.smoke.sir"


def new_decoder(channels: list[int], **changes: Any) -> RefinementDecoder:
    """An untrained decoder of the settings above."""
    arguments = {key: value for key, value in {**DECODER, **changes}.items() if key != "standardise"}
    return RefinementDecoder(channels=channels, **arguments)


def decoder_params(**changes: Any) -> DecoderParams:
    return DecoderParams.model_validate({**DECODER, **changes})


def training_params(**changes: Any) -> TrainingParams:
    return TrainingParams.model_validate({**TRAINING, **changes})


def make_features(
    folder: Path, category: str, *, images: int = 4, views: int = 1, seed: int = 0, **teacher: Any
) -> TeacherFeatures:
    """Random features of 6 and 10 channels, 8 x 8 and 4 x 4 cells."""
    random = np.random.default_rng([seed, *category.encode()])
    shapes = [(images, views, 6, 8, 8), (images, views, 10, 4, 4)]
    description = {
        "image_ids": [f"train/{n}" for n in range(images)], "files": [f"{seed}-{n}.png" for n in range(images)],
        "views": [f"view_{n}" for n in range(views)], "teacher": {**TEACHER, **teacher},
        "single": [],
    }  # fmt: skip
    with writing_features(folder / category, description, shapes) as (arrays, _):
        for array in arrays:
            array[...] = random.normal(size=array.shape)
    return read_features(folder / category, category=category)


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
        inputs = root / category / "inputs"
        (inputs / "images").mkdir(parents=True)
        files = []
        for number, (image_id, split) in enumerate(rows):
            picture = draw(category, defective=image_id in ("test/bad", "validation/0#synthetic"), noise=noise)
            if number in (0, 8):
                picture = picture.convert("L")
            picture.save(inputs / "images" / f"{number}.png")
            files.append((image_id, f"{number}.png", split))
        write_images(inputs, pd.DataFrame(files, columns=["image_id", "file", "split"]))
    return root


def cache(*categories: str) -> None:
    for category in categories:
        features_main(["--inputs", f"{category}/inputs", "--category", category, "--features", f"features/{category}"])


def train(method: str, category: str | None = None) -> Path:
    """Train a model of one category, or a universal one."""
    name = f"{method}-{category or 'all'}"
    options = [
        "--method",
        method,
        "--model",
        f"{name}.safetensors",
        "--choice",
        f"{name}.json",
        "--curve",
        f"{name}.csv",
    ]
    if category is None:
        universal_main(["--features", "features", *options])
    else:
        specialised_main(["--features", f"features/{category}", "--category", category, *options])
    return Path(f"{name}.safetensors")


def score(category: str, model: Path, name: str) -> pd.DataFrame:
    scores_main(["--inputs", f"{category}/inputs", "--category", category, "--model", str(model), "--scores", name])
    return read_result(Path(name)).scores.set_index("image_id")
