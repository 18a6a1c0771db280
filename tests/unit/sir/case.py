"""Small made-up teacher features and settings for the tests of SIR."""

from pathlib import Path
from typing import Any

import numpy as np

from stages.sir.model.feature_files import TeacherFeatures, read_features, writing_features
from stages.sir.model.model import DecoderParams, TrainingParams

DECODER: dict[str, Any] = {
    "widths": [8, 8], "blocks": 1, "entry": "all", "norm": "group", "groups": 4, "loops": 3, "share_weights": True,
    "detach_loops": False, "standardise": False,
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "one_shot": {"iterations": 12, "draws": 2}, "full_shot": {"iterations": 12, "batch_size": 3}, "loss_loops": "mean",
    "stage_weights": [1.0, 1.0], "optimizer": "adamw", "schedule": "constant", "learning_rate": 0.01,
    "weight_decay": 0.0,
}  # fmt: skip
TEACHER: dict[str, Any] = {"name": "made up", "stages": [2, 3], "image_size": 64}


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
    }  # fmt: skip
    with writing_features(folder / category, description, shapes) as arrays:
        for array in arrays:
            array[...] = random.normal(size=array.shape)
    return read_features(folder / category, category=category)
