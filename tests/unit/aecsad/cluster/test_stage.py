"""The cluster stage on tiny drawings, from files to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.cluster.__main__ import main
from stages.aecsad.model.label_maps import LabelMaps, read_label_maps, write_label_maps
from stages.aecsad.pseudo_label.__main__ import main as pseudo_label
from stages.core.io.components import ComponentMaps, read_component_maps, write_component_maps
from tests.unit.aecsad.pseudo_label.case import draw, write_case

MANIFEST = Path(__file__).parents[4] / "data" / "foundation_weights.json"
INPUTS = ["--images", "images.parquet", "--image-files", "images", "--component-maps", "maps.npz"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cluster() -> tuple[LabelMaps, dict[str, object]]:
    main([*INPUTS, "--labels", "labels.npz", "--choice", "cluster.json"])
    return read_label_maps(Path("labels.npz")), json.loads(Path("cluster.json").read_text())


def propose(images: list[np.ndarray]) -> None:
    write_case(Path(), images)
    weights = ["--weights", str(MANIFEST), "--category", "parts", "--tags", "tags.yaml", "--trials", "trials"]
    pseudo_label([*INPUTS, *weights, "--choice", "pseudo_label.json"])


def test_discs_and_squares_are_two_classes(here: Path) -> None:
    propose([draw(seed) for seed in range(25)])
    labels, choice = cluster()
    assert labels.num_classes == 3
    assert (choice["num_classes"], choice["components_mean"], choice["components_std"]) == (2, 5.0, 0.0)
    assert choice["plausible"] is True
    assert choice["reasons"] == []
    maps = read_component_maps(here / "maps.npz")
    assert labels.image_ids == maps.image_ids
    for label, instances in ((1, 3), (2, 2)):  # discs are more frequent
        mask = labels.values == label
        assert [len(np.unique(maps.values[row][mask[row]])) for row in range(24)] == [instances] * 24
    assert 4 <= labels.labelled.sum() < 24


def test_the_order_of_the_images_does_not_matter(here: Path) -> None:
    propose([draw(seed) for seed in range(25)])
    labels, _ = cluster()
    maps, order = read_component_maps(here / "maps.npz"), np.random.default_rng(0).permutation(24)
    names = tuple(maps.image_ids[row] for row in order)
    write_component_maps(here / "maps.npz", ComponentMaps(names, maps.values[order], maps.kinds[order]))
    shuffled, _ = cluster()
    assert shuffled.image_ids == names
    np.testing.assert_array_equal(shuffled.values, labels.values[order])


def test_a_class_seen_once_is_background_and_its_image_not_typical(here: Path) -> None:
    propose([draw(0, discs=3, squares=0), *(draw(seed, discs=4, squares=0) for seed in range(1, 24)), draw(99)])
    maps = read_component_maps(here / "maps.npz")
    kinds = (maps.values.max(axis=(1, 2))[:, None] >= np.arange(1, 5)).astype(np.uint8)
    kinds[5, 2] = 9  # one instance is of another kind
    write_component_maps(here / "maps.npz", ComponentMaps(maps.image_ids, maps.values, np.pad(kinds, ((0, 0), (1, 0)))))
    labels, choice = cluster()
    assert choice["num_classes"] == 1
    covered = (labels.values > 0).sum(axis=(1, 2))
    assert covered[0] == covered[5] == 3 * 81
    assert sorted(covered)[2:] == [4 * 81] * 22
    assert not labels.labelled[0]
    assert not labels.labelled[5]


def test_no_component_at_all_takes_the_branch_out(here: Path) -> None:
    write_case(here, [np.full((96, 96, 3), 128, dtype=np.uint8)] * 9)
    empty = np.zeros((8, 96, 96), dtype=np.uint16)
    names = tuple(f"{number:03d}" for number in range(8))
    write_component_maps(here / "maps.npz", ComponentMaps(names, empty, np.zeros((8, 1), dtype=np.uint8)))
    labels, choice = cluster()
    assert labels.num_classes == 1
    assert not labels.values.any()
    assert not labels.labelled.any()
    assert choice["plausible"] is False
    assert choice["reasons"] == ["no component class occurs often enough"]


def test_equal_images_are_plausible(here: Path) -> None:
    propose([draw(7)] * 13)
    labels, choice = cluster()
    assert choice["spread"] == 0
    assert choice["labelled"] == labels.labelled.sum() == 6
    assert labels.num_classes > 2  # copies of one instance are closer than any two instances: it may be its own class


def test_counts_that_vary_wildly_take_the_branch_out(here: Path) -> None:
    propose([draw(seed, discs=1 + 11 * (seed % 2), squares=0) for seed in range(25)])
    labels, choice = cluster()
    assert labels.num_classes == 1
    assert any("vary wildly" in reason for reason in choice["reasons"])


def test_label_maps_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    values, labelled = np.full((1, 2, 2), 3, dtype=np.uint8), np.ones(1, dtype=bool)
    with pytest.raises(ValueError, match="class 3 does not fit num_classes 3"):
        write_label_maps(tmp_path / "m.npz", LabelMaps(("a",), values, 3, labelled))
    with pytest.raises(ValueError, match="2 image_ids, 1 maps, 1 labelled flags"):
        write_label_maps(tmp_path / "m.npz", LabelMaps(("a", "b"), values, 4, labelled))
    write_label_maps(tmp_path / "m.npz", LabelMaps(("ä b",), values, 4, labelled))
    assert read_label_maps(tmp_path / "m.npz").image_ids == ("ä b",)
