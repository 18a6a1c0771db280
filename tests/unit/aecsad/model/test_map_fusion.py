"""One map of several branches, worked out by hand."""

import json

import numpy as np
import pandas as pd

from stages.aecsad.model.map_fusion import active_maps, fit_map_fusion, map_fusion_from_json
from stages.core.io.maps import AnomalyMaps


def test_maps_are_scaled_by_normal_cells_and_resized_before_they_add_up() -> None:
    scores = pd.DataFrame({"image_id": ["a", "b"], "split": ["validation", "test"]})
    fine = np.array([[[0.0, 2.0], [0.0, 2.0]], [[4.0, 0.0], [0.0, 0.0]]], dtype=np.float16)  # mean 1, spread 1
    coarse = np.array([[[5.0]], [[8.0]]], dtype=np.float16)  # spread 0 on normal cells: taken as 1e-6
    maps = {"fine": AnomalyMaps(("a", "b"), fine), "coarse": AnomalyMaps(("b", "a"), coarse[::-1])}
    weights = {"fine": 0.75, "coarse": 0.0}
    active = active_maps(scores, maps, weights)
    assert list(active) == ["fine"]  # the other branch has no weight
    np.testing.assert_array_equal(fit_map_fusion(scores, active, weights)(active), fine - 1)
    both = {"fine": 0.75, "coarse": 0.25}
    active = active_maps(scores, maps, both)
    fusion = fit_map_fusion(scores.assign(split="validation"), active, both)
    expected = 0.75 * (fine[1] - fine.mean()) / fine.std() + 0.25
    np.testing.assert_allclose(fusion(active)[1], expected, atol=2e-3)
    again = map_fusion_from_json(json.loads(json.dumps(fusion.to_json())))
    alone = {name: values[1:] for name, values in active.items()}
    np.testing.assert_array_equal(again(alone), fusion(active)[1:])  # an image by itself, from the file


def test_maps_count_equally_where_none_of_their_branches_has_weight() -> None:
    scores = pd.DataFrame({"image_id": ["a"], "split": ["validation"]})
    maps = {name: AnomalyMaps(("a",), np.array([[[0.0, 2.0]]], dtype=np.float16)) for name in ("one", "other")}
    none = dict.fromkeys(maps, 0.0)
    active = active_maps(scores, maps, none)
    assert list(active) == ["one", "other"]
    np.testing.assert_array_equal(fit_map_fusion(scores, active, none)(active), [[[-1.0, 1.0]]])
