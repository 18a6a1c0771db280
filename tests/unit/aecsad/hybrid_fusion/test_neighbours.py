"""The training images of the finer nearest-neighbour branch, and what they are resized to."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from stages.aecsad.hybrid_fusion.neighbours import draw_training_images, side_for
from stages.core.io.tables import image_files


@pytest.mark.parametrize(("count", "expected"), [(4, 4), (99, 6)])
def test_training_images_are_drawn_once_each_and_from_no_other_split(count: int, expected: int) -> None:
    images = pd.DataFrame({"image_id": list("abcdefgh"), "split": ["train"] * 3 + ["test"] * 2 + ["train"] * 3})
    drawn = draw_training_images(images, count=count, generator=torch.Generator().manual_seed(0))
    assert len(drawn) == drawn["image_id"].nunique() == expected
    assert set(drawn["split"]) == {"train"}
    assert drawn["image_id"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(80, 80)] * 3, 80),  # 1.25 * 64
        ([(79, 80)] * 3, 64),
        ([(40, 160)] * 3, 80),
        ([(40, 40), (40, 40), (900, 900)], 64),
    ],
)
def test_pictures_with_enough_pixels_are_seen_larger(sizes: list[tuple[int, int]], side: int, tmp_path: Path) -> None:
    image_files(tmp_path).mkdir(parents=True)
    rows = [*((f"{number}.png", "train", size) for number, size in enumerate(sizes)), ("t.png", "test", (999, 999))]
    for file, _, size in rows:
        Image.new("RGB", size).save(image_files(tmp_path) / file)
    images = pd.DataFrame({"file": [row[0] for row in rows], "split": [row[1] for row in rows]})
    assert side_for(tmp_path, images, 64) == side
