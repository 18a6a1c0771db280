"""Where branches disagree, by hand: from maps to the page's pictures."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.io.maps import AnomalyMaps
from stages.core.run.errors import UserError
from stages.evaluation.inputs import branch_maps_by_image
from stages.evaluation.pictures import Disagreement, disagreement_overlay, fit_disagreement
from tests.unit.evaluation.case import Case


def test_the_gap_of_two_branches_by_hand() -> None:
    local = np.array([[0, 10], [20, 99]], dtype=np.float16)
    other = np.array([[3, 1], [2, 3]], dtype=np.float16)
    gaps = Disagreement({"local": {"a": local}, "global": {"a": other}}, {"local": (10, 20), "global": (1, 3)})
    gap = gaps.of("a")
    assert gap is not None
    # local: 0, 0, 1, 1 (clipped); global: 1, 0, 0.5, 1. Where both see an anomaly, how strong it is does not count.
    np.testing.assert_allclose(gap, [[1, 0], [0.5, 0]])


def test_of_three_branches_the_farthest_apart_count() -> None:
    maps = {name: {"a": np.full((1, 1), value)} for name, value in (("x", 0.25), ("y", 0.5), ("z", 1.0))}
    gap = Disagreement(maps, dict.fromkeys(maps, (0.0, 1.0))).of("a")
    np.testing.assert_allclose(gap, [[0.75]])


def test_a_coarse_branch_is_interpolated_to_the_finest() -> None:
    maps = {"coarse": {"a": np.zeros((1, 1))}, "fine": {"a": np.eye(4)}}
    gap = Disagreement(maps, dict.fromkeys(maps, (0.0, 2.0))).of("a")
    np.testing.assert_allclose(gap, np.eye(4) / 2)


@pytest.mark.parametrize("maps", [{}, {"alone": {"a": np.ones((2, 2))}}])
def test_one_branch_disagrees_with_nobody(maps: dict[str, dict[str, np.ndarray]]) -> None:
    assert Disagreement(maps, dict.fromkeys(maps, (0.0, 1.0))).of("a") is None


def test_the_variance_of_an_ensemble_is_a_disagreement_by_itself() -> None:
    variance = {"a": np.array([[0.0, 0.2], [0.3, 9.0]])}
    gap = Disagreement({"variance": variance}, {"variance": (0.1, 0.3)}).of("a")
    np.testing.assert_allclose(gap, [[0, 0.5], [1, 1]])
    both = Disagreement({"variance": variance, "own": variance}, dict.fromkeys(("variance", "own"), (0.1, 0.3)))
    np.testing.assert_allclose(both.of("a"), np.zeros((2, 2)))


def test_the_scale_of_a_branch_comes_from_normal_validation_images() -> None:
    joined = pd.DataFrame({"image_id": ["v", "w", "t"], "split": ["validation", "validation_anomalous", "test"]})
    own = {"v": np.array([[1, 2, 3]], dtype=np.float16), "w": np.array([[99]]), "t": np.array([[77]])}
    fitted = fit_disagreement(joined, {"local": own, "flat": {**own, "v": np.ones((1, 3))}}, budget=0.05)
    assert fitted.ranges == {"local": (2.0, 3.0), "flat": (1.0, 2.0)}


def test_the_overlay_is_as_opaque_as_the_branches_disagree() -> None:
    overlay = disagreement_overlay(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert overlay.shape == (1, 3, 4)
    assert overlay[0, :, 3].tolist() == [0, 110, 220]
    assert len(np.unique(overlay[0, :, :3], axis=0)) == 1


def test_the_evaluation_draws_it_where_the_branches_differ(case: Case) -> None:
    maps = case.maps()
    branches = {"own": maps.values, "blind": np.zeros((20, 2, 2), dtype=np.float16)}  # one sees nothing anywhere
    case.write_maps(AnomalyMaps(maps.image_ids, maps.values, branches))
    case.run()
    path = case.result(9)["disagreement_path"]  # its defect: rows 4-8, columns 6-12
    with Image.open(case.root / "evaluations/tray/ours" / path) as overlay:
        alpha = np.asarray(overlay)[..., 3]
    assert alpha.shape == (5, 6)
    assert alpha[1, 1] == alpha.max() == 220
    assert alpha[3:, 3:].max() < 220


def test_without_branches_there_is_no_picture(case: Case) -> None:
    case.run()
    assert list((case.root / "evaluations/tray/ours/disagreement").iterdir()) == []
    assert {case.result(number)["disagreement_path"] for number in range(10)} == {None}


def test_damaged_branches_are_named() -> None:
    one = np.zeros((2, 2, 2), dtype=np.float16)
    found = branch_maps_by_image(AnomalyMaps(("a", "b"), one, {"local": one}), not_judged={"b"})
    assert found["local"].keys() == {"a"}
    with pytest.raises(UserError, match=r"maps of branch local: an array of shape \(1, 2, 2\) for 2 images"):
        branch_maps_by_image(AnomalyMaps(("a", "b"), one, {"local": one[:1]}))
    with pytest.raises(UserError, match=r"maps of branch local that are not finite: a, b"):
        branch_maps_by_image(AnomalyMaps(("a", "b"), one, {"local": one + np.float16(np.nan)}))
    assert branch_maps_by_image(None) == {}
