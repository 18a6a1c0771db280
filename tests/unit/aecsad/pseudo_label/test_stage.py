"""The pseudo_label stage on tiny drawings, from files to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.pseudo_label.__main__ import main
from stages.core.io.components import read_component_maps
from tests.unit.aecsad.drawings import PSEUDO_LABEL, SECTIONS, SIZE, draw, write_case


def layered(seed: int) -> np.ndarray:
    """A large body of two touching halves on dark ground."""
    random = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE, 3), 40.0)
    left = random.integers(20, 28)
    image[16:48, left : left + 48] = (200, 40, 40)
    image[48:80, left : left + 48] = (230, 230, 120)
    return np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def test_parts_of_the_training_images_are_counted_exactly(here: Path) -> None:
    write_case(here, [draw(seed) for seed in range(25)])
    main(PSEUDO_LABEL)
    maps = read_component_maps(here / "proposal/component_maps.npz")
    assert maps.image_ids == tuple(f"{number:03d}" for number in range(24))  # the test image is not among them
    assert maps.values.shape == (24, SIZE, SIZE)
    assert maps.values.max(axis=(1, 2)).tolist() == [5] * 24
    assert maps.kinds.shape == (24, 6)
    choice = json.loads((here / "pseudo_label.json").read_text())
    assert choice["proposer"] == "background_difference"
    assert choice["background_difference"]["count_agreement"] == 1.0
    assert choice["tried_on"] == 24
    trials = {file.stem: read_component_maps(file) for file in (here / "proposal/trials").iterdir()}
    assert set(trials) == {"background_difference", "graph_merging", "dense_clusters"}
    assert {trial.image_ids for trial in trials.values()} == {maps.image_ids}
    np.testing.assert_array_equal(trials["background_difference"].values, maps.values)
    parts = read_component_maps(here / "proposal/part_maps.npz")
    assert parts.image_ids == maps.image_ids
    np.testing.assert_array_equal(parts.values, maps.values)
    before = (here / "proposal/component_maps.npz").read_bytes()
    main(PSEUDO_LABEL)
    assert (here / "proposal/component_maps.npz").read_bytes() == before


def test_dense_clusters_give_kinds_that_mean_the_same_in_every_image(here: Path) -> None:
    write_case(here, [layered(seed) for seed in range(9)], pseudo_label={"proposer": "dense_clusters"})
    main(PSEUDO_LABEL)
    maps = read_component_maps(here / "proposal/component_maps.npz")
    kinds = np.take_along_axis(maps.kinds, maps.values.reshape(8, -1).astype(np.int64), axis=1)
    upper, lower = kinds.reshape(8, SIZE, SIZE)[:, 30, 48], kinds.reshape(8, SIZE, SIZE)[:, 66, 48]
    assert len(set(upper.tolist())) == len(set(lower.tolist())) == 1
    assert upper[0] != lower[0]
    assert upper[0] > 0 and lower[0] > 0
    assert not kinds.reshape(8, SIZE, SIZE)[:, 2, 2].any()


def test_large_touching_parts_have_the_same_kind_in_every_image(here: Path) -> None:
    write_case(here, [layered(seed) for seed in range(9)])
    main(PSEUDO_LABEL)
    choice = json.loads((here / "pseudo_label.json").read_text())
    assert choice["proposer"] == "graph_merging"
    assert choice["human_input"] is None
    maps = read_component_maps(here / "proposal/component_maps.npz")
    assert maps.values.max(axis=(1, 2)).tolist() == [2] * 8
    kinds = np.take_along_axis(maps.kinds, maps.values.reshape(8, -1).astype(np.int64), axis=1).reshape(8, SIZE, SIZE)
    assert {tuple(sorted(row)) for row in maps.kinds.tolist()} == {(0, 1, 2)}
    assert len(set(kinds[:, 30, 48].tolist())) == len(set(kinds[:, 66, 48].tolist())) == 1


def test_values_out_of_range_are_refused_together_by_their_keys(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    sections = SECTIONS["pseudo_label"]
    change = {
        "min_area": 1.0,
        "graph_merging": {**sections["graph_merging"], "superpixels": 70000},
        "background_difference": {**sections["background_difference"], "edge": 0},
        "dense_clusters": {**sections["dense_clusters"], "clusters": 300},
        "foundation": {**sections["foundation"], "tagged_images": -1},
    }
    write_case(here, [draw(0)] * 2, pseudo_label=change)
    with pytest.raises(SystemExit):
        main(PSEUDO_LABEL)
    keys = ["min_area", "graph_merging.superpixels", "background_difference.edge", "dense_clusters.clusters"]
    assert [key for key in [*keys, "foundation.tagged_images"] if f"pseudo_label.{key} is " not in caplog.text] == []
    assert not (here / "proposal").exists()


def test_images_without_any_part_are_no_failure(here: Path) -> None:
    plain = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)
    write_case(here, [plain] * 5)
    main(PSEUDO_LABEL)
    assert json.loads((here / "pseudo_label.json").read_text())["background_difference"]["coverage"] == 0
    assert len(read_component_maps(here / "proposal/component_maps.npz").values) == 4
