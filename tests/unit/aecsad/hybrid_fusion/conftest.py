"""Scores of branches that see anomalies to different degrees, and the histogram stage's choice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

Scores = Callable[..., pd.DataFrame]


@pytest.fixture
def make_scores() -> Scores:
    """Make scores of validation images, their synthetic copies and test images, of which every second is anomalous."""

    def make(images: int = 60, *, seen: float = 3.0) -> pd.DataFrame:
        random = np.random.default_rng(0)
        split = ["validation"] * images + ["synthetic"] * images + ["test"] * images
        anomalous = np.array([0] * images + [1] * images + [0, 1] * (images // 2))
        names = [f"{number:03}" for number in range(len(split))]
        names[images : 2 * images] = [f"{name}#synthetic" for name in names[:images]]
        table = pd.DataFrame({"image_id": names, "split": split})
        for name, strength in (("student_teacher", seen), ("neighbours", 1.5), ("noise", 0.0)):
            table[name] = random.normal(size=len(split)) + strength * anomalous
        return table.assign(histogram_1x1=random.normal(size=len(split)), histogram_2x2=0.0)

    return make


@pytest.fixture
def no_histogram() -> dict[str, Any]:
    """The choice where no column is in use."""
    names = ("histogram_1x1", "histogram_2x2")
    return {"weights": dict.fromkeys(names, 0.0), "columns": {name: {"edit_auroc": 0.5} for name in names}}
