"""The pseudo_label stage on tiny drawings, from files to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.pseudo_label.__main__ import main
from stages.core.io.components import ComponentMaps, read_component_maps, write_component_maps
from stages.core.run.errors import UserError
from tests.unit.aecsad.pseudo_label.case import SECTIONS, SIZE, draw, write_case

OPTIONS = [
    "--images",
    "images.parquet",
    "--image-files",
    "images",
    "--weights",
    str(Path(__file__).parents[4] / "data" / "foundation_weights.json"),
    "--category",
    "parts",
    "--tags",
    "tags.yaml",
    "--trials",
    "trials",
    "--component-maps",
    "maps.npz",
    "--choice",
    "c.json",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_parts_of_the_training_images_are_counted_exactly(here: Path) -> None:
    write_case(here, [draw(seed) for seed in range(25)])
    main(OPTIONS)
    maps = read_component_maps(here / "maps.npz")
    assert maps.image_ids == tuple(f"{number:03d}" for number in range(24))  # the test image is not among them
    assert maps.values.shape == (24, SIZE, SIZE)
    assert maps.values.max(axis=(1, 2)).tolist() == [5] * 24
    assert maps.kinds.shape == (24, 6)
    choice = json.loads((here / "c.json").read_text())
    assert choice["proposer"] == "background_difference"
    assert choice["background_difference"]["count_agreement"] == 1.0
    assert choice["tried_on"] == 24
    trials = {file.stem: read_component_maps(file) for file in (here / "trials").iterdir()}
    assert set(trials) == {"background_difference", "graph_merging", "dense_clusters"}
    assert {trial.image_ids for trial in trials.values()} == {maps.image_ids}
    np.testing.assert_array_equal(trials["background_difference"].values, maps.values)
    before = (here / "maps.npz").read_bytes()
    main(OPTIONS)
    assert (here / "maps.npz").read_bytes() == before


def test_dense_clusters_give_kinds_that_mean_the_same_in_every_image(here: Path) -> None:
    write_case(here, [layered(seed) for seed in range(9)], pseudo_label={"proposer": "dense_clusters"})
    main(OPTIONS)
    maps = read_component_maps(here / "maps.npz")
    kinds = np.take_along_axis(maps.kinds, maps.values.reshape(8, -1).astype(np.int64), axis=1)
    upper, lower = kinds.reshape(8, SIZE, SIZE)[:, 30, 48], kinds.reshape(8, SIZE, SIZE)[:, 66, 48]
    assert len(set(upper.tolist())) == len(set(lower.tolist())) == 1
    assert upper[0] != lower[0]
    assert upper[0] > 0 and lower[0] > 0
    assert not kinds.reshape(8, SIZE, SIZE)[:, 2, 2].any()


def test_large_touching_parts_are_merged_and_have_the_same_kind_in_every_image(here: Path) -> None:
    write_case(here, [layered(seed) for seed in range(9)])
    main(OPTIONS)
    choice = json.loads((here / "c.json").read_text())
    assert choice["proposer"] == "graph_merging"
    assert choice["human_input"] is None
    maps = read_component_maps(here / "maps.npz")
    assert maps.values.max(axis=(1, 2)).tolist() == [2] * 8
    kinds = np.take_along_axis(maps.kinds, maps.values.reshape(8, -1).astype(np.int64), axis=1).reshape(8, SIZE, SIZE)
    assert {tuple(sorted(row)) for row in maps.kinds.tolist()} == {(0, 1, 2)}
    assert len(set(kinds[:, 30, 48].tolist())) == len(set(kinds[:, 66, 48].tolist())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"min_area": 1.0},
        {"graph_merging": {"superpixels": 1, "lightness": 0.4, "colour_kinds": True}},
        {"graph_merging": {"superpixels": 70000, "lightness": 0.4, "colour_kinds": True}},
        {"background_difference": {**SECTIONS["pseudo_label"]["background_difference"], "edge": 0}},
        {"dense_clusters": {**SECTIONS["pseudo_label"]["dense_clusters"], "clusters": 300}},
        {"foundation": {**SECTIONS["pseudo_label"]["foundation"], "tagged_images": -1}},
    ],
)
def test_values_out_of_range_are_refused_by_their_key(
    here: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    write_case(here, [draw(0)] * 2, pseudo_label=change)
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert f"aecsad.pseudo_label.{next(iter(change))}" in caplog.text
    assert not (here / "maps.npz").exists()


def test_images_without_any_part_give_empty_maps_or_clusters_but_no_failure(here: Path) -> None:
    plain = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)
    write_case(here, [plain] * 5)
    main(OPTIONS)
    assert json.loads((here / "c.json").read_text())["background_difference"]["coverage"] == 0
    assert len(read_component_maps(here / "maps.npz").values) == 4


def test_maps_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    values, kinds = np.full((1, 2, 2), 3, dtype=np.uint16), np.zeros((1, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="2 image_ids for 1 rows of values"):
        write_component_maps(tmp_path / "m.npz", ComponentMaps(("a", "b"), values, kinds))
    with pytest.raises(ValueError, match="instance 3 has no column in kinds"):
        write_component_maps(tmp_path / "m.npz", ComponentMaps(("a",), values, kinds))
    assert not list(tmp_path.iterdir())


def test_another_file_is_named_as_unreadable(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", image_ids=np.array(["a"]))
    with pytest.raises(UserError, match=r"m\.npz: no readable arrays .*values"):
        read_component_maps(tmp_path / "m.npz")


def layered(seed: int) -> np.ndarray:
    """A large body of two touching halves on dark ground."""
    random = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE, 3), 40.0)
    left = random.integers(20, 28)
    image[16:48, left : left + 48] = (200, 40, 40)
    image[48:80, left : left + 48] = (230, 230, 120)
    return np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
