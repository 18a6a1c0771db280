"""The training images of the finer nearest-neighbour branch."""

import pandas as pd
import pytest
import torch

from stages.aecsad.hybrid_fusion.neighbours import draw_training_images


@pytest.mark.parametrize(("count", "expected"), [(4, 4), (99, 6)])
def test_training_images_are_drawn_once_each_and_from_no_other_split(count: int, expected: int) -> None:
    images = pd.DataFrame({"image_id": list("abcdefgh"), "split": ["train"] * 3 + ["test"] * 2 + ["train"] * 3})
    drawn = draw_training_images(images, count=count, generator=torch.Generator().manual_seed(0))
    assert len(drawn) == drawn["image_id"].nunique() == expected
    assert set(drawn["split"]) == {"train"}
    assert drawn["image_id"].is_monotonic_increasing
