"""A tiny CLIP and drawn images for the tests of the methods on CLIP."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from stages.clip.model.labelled_pool import write_labelled_pool
from stages.clip.model.params import ClipParams
from stages.core.io.tables import write_images
from tests.params_files import set_values, write_params

SIZE = 48
TINY: dict[str, Any] = {
    "architecture": {
        "embed_dim": 32,
        "vision": {"layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
        "text": {"layers": 1, "width": 32, "heads": 2},
    },
    "image_size": SIZE,
    "quick_gelu": False,
    "weights": {"random_seed": 0},
    "cache_gigabytes": 0.1,
}


def tiny_params(**changes: Any) -> ClipParams:
    """The params of a CLIP of some ten thousand weights in addition to its vocabulary."""
    return ClipParams.model_validate({**TINY, **changes})


def write_image(path: Path, *, seed: int, defective: bool, width: int = SIZE, height: int = SIZE) -> None:
    """Grey noise; a defective image has a dark square, left above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(150, 200, (height, width, 3))
    if defective:
        image[4:24, 4:24] = 10
    Image.fromarray(image.astype(np.uint8)).save(path)


def make_grey(folder: Path) -> None:
    """Turn the images of a folder to 8-bit grey."""
    for path in sorted(folder.iterdir()):
        Image.open(path).convert("L").save(path)


def make_deep(folder: Path, *, offset: int) -> dict[str, int]:
    """Turn 8-bit grey images to 16-bit ones, in place, and return the window that makes them the same again."""
    for path in sorted(folder.iterdir()):
        values = np.asarray(Image.open(path)).astype(np.uint16) + offset
        Image.fromarray(values.astype(np.uint16)).save(path)
    return {"level": offset + 128, "width": 256}  # black is offset, white offset + 255


def write_target(root: Path, *, train: int = 6, others: int = 3) -> pd.DataFrame:
    """The inputs of a category: normal training images, then half of the others defective."""
    rows = [(f"train/{n}", "train", False) for n in range(train)]
    rows += [(f"validation/{n}", "validation", False) for n in range(others)]
    rows += [(f"test/{kind}{n}", "test", kind == "bad") for n in range(others) for kind in ("good", "bad")]
    table = []
    for number, (image_id, split, defective) in enumerate(rows):
        file = f"{number:016x}.png"
        write_image(root / "images" / file, seed=number, defective=defective)
        table.append((image_id, file, split))
    images = pd.DataFrame(table, columns=["image_id", "file", "split"])
    write_images(root, images)
    return images


def write_pool(root: Path, *, normal: int = 6, anomalous: int = 4, masked: int | None = None, seed: int = 1000) -> None:
    """A labelled pool; the last `masked` anomalies have a mask (default: all)."""
    source, rows = root.with_name(root.name + "_source"), []
    masked = anomalous if masked is None else masked
    (source / "masks").mkdir(parents=True)
    for number in range(normal + anomalous):
        bad = number >= normal
        file, masks = f"{seed + number:016x}.png", []
        write_image(source / "images" / file, seed=seed + number, defective=bad)
        if bad and number >= normal + anomalous - masked:
            mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
            mask[4:24, 4:24] = 255
            masks = [f"m{number}.png"]
            Image.fromarray(mask).save(source / "masks" / masks[0])
        rows.append((f"{'bad' if bad else 'good'}/{number}", file, bad, masks))
    pool = pd.DataFrame(rows, columns=["image_id", "file", "is_anomalous", "mask_files"])
    write_labelled_pool(root, pool, images=source / "images", masks=source / "masks")


def write_clip_params(root: Path, **changes: Any) -> None:
    """Params with both methods on for the category `part`."""
    values: dict[str, Any] = {
        "profile": "smoke",
        "seed": 0,
        "methods": {
            "inctrl": {"auxiliary": {"other": {"object": "plate"}}, "categories": {"part": {"object": "steel part"}}},
            "madclip": {"categories": {"part": {"trained_on": "other", "object": "steel part"}}},
        },
        "profiles": {
            "smoke": {
                "inctrl": {
                    "clip": TINY, "blocks": [1, 2, 3], "shots": 2, "repetitions": 2, "exclude_query": True,
                    "batching": "paired", "double_sigmoid": True,
                    "training": {"epochs": 1, "steps_per_epoch": 3, "batch_size": 4, "learning_rate": 0.001,
                                 "weight_decay": 0.01},
                },
                "madclip": {
                    "clip": TINY, "blocks": [1, 2, 3, 4], "variant": "as_code", "texts": "both", "decision": "mean",
                    "shots": 2, "repetitions": 2, "training": {"epochs": 1, "batch_size": 16, "learning_rate": 0.001},
                },
            }
        },
    }  # fmt: skip
    set_values(values, changes, separator="__")
    write_params(root, values)
