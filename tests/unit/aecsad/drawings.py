"""Tiny pictures with a known number of parts, and the inputs and params with which the stages run on them.

Three orange discs and two blue squares on plain grey ground.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from stages.core.io.tables import write_images
from tests.params_files import write_params

ROOT = Path(__file__).parents[3]
PSEUDO_LABEL = [
    "--inputs", "inputs", "--weights", str(ROOT / "data" / "foundation_weights.json"), "--category", "parts",
    "--output", "proposal", "--choice", "pseudo_label.json",
]  # fmt: skip
CLUSTER = [
    "--inputs", "inputs", "--components", "proposal", "--output", "clusters",
    "--choice", "cluster.json", "--labels", "labels.json",
]  # fmt: skip
SIZE, CELL = 96, 24
DISCS, SQUARES = 3, 2
DISC, SQUARE, GROUND = (225, 120, 30), (40, 60, 190), (150, 150, 150)
SECTIONS = {
    "pseudo_label": {
        "proposer": "auto",
        "min_area": 0.001,
        "min_count_agreement": 0.5,
        "background_difference": {"window": 0.2, "lightness": 0.5, "edge": 0.5},
        "graph_merging": {"superpixels": 150, "lightness": 0.4, "colour_kinds": True, "max_count_variation": 0.15},
        "dense_clusters": {
            "clusters": 4,
            "cells": 24,
            "cells_per_image": 200,
            "stride_weights": [0.7, 1.0, 0.7],
            "dimensions": 8,
            "colour_share": 0.25,
        },
        "foundation": {
            "sam": "tiny",
            "tagged_images": 2,
            "near": 0.1,
            "min_tag_share": 0.3,
            "unreviewed": {"box_threshold": 0.3, "text_threshold": 0.25, "masks": "automatic"},
            "segmenter": {
                "points_per_side": 4,
                "points_at_once": 8,
                "min_predicted_iou": -10.0,
                "min_stability": 0.0,
                "max_box_iou": 0.7,
                "crop_layers": 0,
                "min_region": 4,
            },
            "filter": {"min_inside": 0.9, "max_ground": 0.95, "max_covered": 0.9},
        },
    },
    "cluster": {
        "crop_size": 32,
        "descriptor": "mixed",
        "views": "eight",
        "appearance_dimensions": 6,
        "bandwidth": None,
        "bandwidth_quantile": 0.3,
        "bandwidth_sample": 200,
        "min_class_share": 0.3,
        "min_class_area": 0.001,
        "groups": "every",
        "min_group_share": 0.1,
        "labelled_share": 0.5,
        "max_spread": 0.1,
        "max_count_variation": 0.5,
        "pasted_components": {"copies": 0, "min_distance": 0.2, "min_pastes": 1, "max_pastes": 1},
    },
}


def draw(seed: int, *, discs: int = DISCS, squares: int = SQUARES) -> np.ndarray:
    """Draw one picture; parts are in random cells of a 4 x 4 layout and do not touch."""
    random = np.random.default_rng(seed)
    image = np.empty((SIZE, SIZE, 3))
    image[:] = GROUND
    y, x = np.mgrid[:SIZE, :SIZE]
    for number, cell in enumerate(random.permutation(16)[: discs + squares]):
        top, left = np.array(divmod(cell, 4)) * CELL + random.integers(9, 15, size=2)
        across, down = np.abs(x - left), np.abs(y - top)
        if number < discs:
            image[np.hypot(across, down) <= 5] = DISC
        else:
            image[(across <= 4) & (down <= 4)] = SQUARE
    return np.clip(image + random.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def stack(*images: np.ndarray) -> torch.Tensor:
    """Return pictures as the proposers take them: N 3 H W."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def write_case(folder: Path, images: list[np.ndarray], **changes: dict[str, object]) -> None:
    """Write inputs/ and params.yaml as the stages expect them; all are training images but the last."""
    (folder / "inputs" / "images").mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "inputs" / "images" / f"{number:03d}.png")
    names = [f"{number:03d}" for number in range(len(images))]
    table = pd.DataFrame({"image_id": names, "file": [f"{name}.png" for name in names], "split": "train"})
    table.loc[len(images) - 1, "split"] = "test"
    write_images(folder / "inputs", table)
    sections = {name: {**section, **changes.get(name, {})} for name, section in SECTIONS.items()}
    encoder = {"name": "tf_efficientnet_lite0", "image_size": images[0].shape[0]}
    params = {
        "profile": "tiny",
        "seed": 0,
        "categories": {"parts": {"source": "folder", "path": "images"}},
        "profiles": {"tiny": {"encoder": encoder, "aecsad": sections}},
    }
    write_params(folder, params)
