"""Where branches disagree, by hand: from maps to the page's pictures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.io.maps import read_anomaly_maps, write_anomaly_maps
from stages.core.run.errors import UserError
from stages.evaluation.__main__ import main
from stages.evaluation.inputs import open_branch_maps
from stages.evaluation.pictures import Disagreement, fit_disagreement, violet_veil
from tests.unit.evaluation.case import make_case


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
    beside = Disagreement({"variance": variance, "own": variance}, dict.fromkeys(("variance", "own"), (0.1, 0.3)))
    np.testing.assert_allclose(beside.of("a"), np.zeros((2, 2)))


def test_the_scale_of_a_branch_comes_from_normal_validation_images() -> None:
    joined = pd.DataFrame({"image_id": ["v", "w", "t"], "split": ["validation", "validation_anomalous", "test"]})
    own = {"v": np.array([[1, 2, 3]], dtype=np.float16), "w": np.array([[99]]), "t": np.array([[77]])}
    fitted = fit_disagreement(joined, {"local": own, "flat": {**own, "v": np.ones((1, 3))}}, budget=0.05)
    assert fitted.ranges == {"local": (2.0, 3.0), "flat": (1.0, 2.0)}


def test_a_veil_is_as_opaque_as_the_branches_disagree() -> None:
    veil = violet_veil(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert veil.shape == (1, 3, 4)
    assert veil[0, :, 3].tolist() == [0, 110, 220]
    assert len(np.unique(veil[0, :, :3], axis=0)) == 1


def with_branches(root: Path) -> list[str]:
    """The usual case with two branches: the method's own map, and one that sees nothing anywhere."""
    arguments = make_case(root)
    maps = read_anomaly_maps(root / "scores/maps")
    branches = {"own": np.array(maps.values), "blind": np.zeros((20, 2, 2), dtype=np.float16)}
    write_anomaly_maps(root / "scores/maps", maps.image_ids, np.array(maps.values), branches)
    return arguments


def test_the_evaluation_draws_it_where_the_branches_differ(tmp_path: Path) -> None:
    main(with_branches(tmp_path))
    folder = tmp_path / "evaluations/ours/tray"
    result = json.loads(
        (folder / "results/0009.json").read_text(encoding="utf-8")
    )  # its defect: rows 4-8, columns 6-12
    with Image.open(folder / result["disagreement_path"]) as veil:
        alpha = np.asarray(veil)[..., 3]
    assert alpha.shape == (5, 6)
    assert alpha[1, 1] == alpha.max() == 220
    assert alpha[3:, 3:].max() < 220


def test_without_branches_there_is_no_picture(tmp_path: Path) -> None:
    main(make_case(tmp_path))
    folder = tmp_path / "evaluations/ours/tray"
    assert list((folder / "disagreement").iterdir()) == []
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "results").iterdir()]
    assert {result["disagreement_path"] for result in results} == {None}


def test_damaged_branches_are_named(tmp_path: Path) -> None:
    one = np.zeros((2, 2, 2), dtype=np.float16)
    write_anomaly_maps(tmp_path / "maps", ["a", "b"], one, {"local": one})
    assert open_branch_maps(tmp_path / "maps", unjudged={"b"})["local"].keys() == {"a"}
    np.save(tmp_path / "maps/branches/local.npy", one[:1])
    with pytest.raises(UserError, match=r"branches/local.npy: an array of shape \(1, 2, 2\) for 2 image_ids"):
        open_branch_maps(tmp_path / "maps")
    np.save(tmp_path / "maps/branches/local.npy", one + np.float16(np.nan))
    with pytest.raises(UserError, match=r"branches/local.npy: maps that are not finite.*: a"):
        open_branch_maps(tmp_path / "maps")
    (tmp_path / "maps/branches/local.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="no readable anomaly maps"):
        open_branch_maps(tmp_path / "maps")
    assert open_branch_maps(tmp_path / "none") == {}
