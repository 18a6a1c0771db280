"""One map of several branches, worked out by hand."""

import numpy as np
import pandas as pd

from stages.aecsad.hybrid_fusion.maps import active_maps, fuse_maps
from stages.core.io.maps import AnomalyMaps


def test_maps_are_scaled_by_normal_cells_and_resized_before_they_add_up() -> None:
    scores = pd.DataFrame({"image_id": ["a", "b"], "split": ["validation", "test"]})
    fine = np.array([[[0.0, 2.0], [0.0, 2.0]], [[4.0, 0.0], [0.0, 0.0]]], dtype=np.float16)  # mean 1, spread 1
    coarse = np.array([[[5.0]], [[8.0]]], dtype=np.float16)  # spread 0 on normal cells: taken as 1e-6
    maps = {"fine": AnomalyMaps(("a", "b"), fine), "coarse": AnomalyMaps(("b", "a"), coarse[::-1])}
    weights = {"fine": 0.75, "coarse": 0.0}
    active = active_maps(scores, maps, weights)
    assert list(active) == ["fine"]  # the other branch has no weight
    np.testing.assert_array_equal(fuse_maps(scores, active, weights), fine - 1)
    both = {"fine": 0.75, "coarse": 0.25}
    np.testing.assert_allclose(
        fuse_maps(scores.assign(split="validation"), active_maps(scores, maps, both), both)[1],
        0.75 * (fine[1] - fine.mean()) / fine.std() + 0.25,
        atol=2e-3,
    )


def test_maps_count_equally_where_none_of_their_branches_has_weight() -> None:
    scores = pd.DataFrame({"image_id": ["a"], "split": ["validation"]})
    maps = {name: AnomalyMaps(("a",), np.array([[[0.0, 2.0]]], dtype=np.float16)) for name in ("one", "other")}
    none = dict.fromkeys(maps, 0.0)
    active = active_maps(scores, maps, none)
    assert list(active) == ["one", "other"]
    np.testing.assert_array_equal(fuse_maps(scores, active, none), [[[-1.0, 1.0]]])
