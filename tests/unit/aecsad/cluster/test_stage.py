"""The cluster stage on tiny drawings, from files to files."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.aecsad.cluster.__main__ import main
from stages.aecsad.model.label_maps import LabelMaps, read_label_maps, read_pasted_images
from stages.aecsad.pseudo_label.__main__ import main as pseudo_label
from stages.core.io.components import COMPONENT_MAPS, ComponentMaps, read_component_maps, write_component_maps
from tests.params_files import change_params
from tests.unit.aecsad.drawings import CLUSTER, PSEUDO_LABEL, SIZE, draw, write_case

MAPS = Path("proposal") / COMPONENT_MAPS


def cluster() -> tuple[LabelMaps, dict[str, object]]:
    main(CLUSTER)
    return read_label_maps(Path("clusters/label_maps.npz")), json.loads(Path("cluster.json").read_text())


def propose(images: list[np.ndarray]) -> None:
    write_case(Path(), images)
    pseudo_label(PSEUDO_LABEL)


def write_maps(names: tuple[str, ...], values: np.ndarray, kinds: np.ndarray) -> None:
    write_component_maps(MAPS, ComponentMaps(names, values, kinds))


def test_discs_and_squares_are_two_classes(here: Path) -> None:
    propose([draw(seed) for seed in range(25)])
    labels, choice = cluster()
    assert labels.num_classes == 3
    assert (choice["num_classes"], choice["components_mean"], choice["components_std"]) == (2, 5.0, 0.0)
    assert choice["plausible"] is True
    assert choice["reasons"] == []
    maps = read_component_maps(MAPS)
    assert labels.image_ids == maps.image_ids
    for label, instances in ((1, 3), (2, 2)):  # discs are more frequent
        mask = labels.values == label
        assert [len(np.unique(maps.values[row][mask[row]])) for row in range(24)] == [instances] * 24
    assert 4 <= labels.labelled.sum() < 24
    numbers = json.loads((here / "labels.json").read_text())
    assert (numbers["classes"], numbers["components_mean"]) == (2, 5.0)
    assert set(numbers["trials"]) == {"background_difference", "graph_merging", "dense_clusters"}
    assert cv2.imread("clusters/review/overlays.jpg").shape[1] == 5 * SIZE
    assert (here / "clusters/review/classes.jpg").is_file()
    assert (here / "proposal/edited.npz").is_file() and not (here / "clusters/review/edited.npz").exists()


def test_the_order_of_the_images_does_not_matter(here: Path) -> None:
    propose([draw(seed) for seed in range(25)])
    labels, _ = cluster()
    maps, order = read_component_maps(MAPS), np.random.default_rng(0).permutation(24)
    names = tuple(maps.image_ids[row] for row in order)
    write_maps(names, maps.values[order], maps.kinds[order])
    shuffled, _ = cluster()
    assert shuffled.image_ids == names
    np.testing.assert_array_equal(shuffled.values, labels.values[order])


def test_a_class_seen_once_is_background_and_its_image_not_typical(here: Path) -> None:
    propose([draw(0, discs=3, squares=0), *(draw(seed, discs=4, squares=0) for seed in range(1, 24)), draw(99)])
    maps = read_component_maps(MAPS)
    kinds = (maps.values.max(axis=(1, 2))[:, None] >= np.arange(1, 5)).astype(np.uint8)
    kinds[5, 2] = 9  # one instance is of another kind
    write_maps(maps.image_ids, maps.values, np.pad(kinds, ((0, 0), (1, 0))))
    labels, choice = cluster()
    assert choice["num_classes"] == 1
    covered = (labels.values > 0).sum(axis=(1, 2))
    assert covered[0] == covered[5] == 3 * 81
    assert sorted(covered)[2:] == [4 * 81] * 22
    assert not labels.labelled[0]
    assert not labels.labelled[5]


def test_no_component_at_all_excludes_the_branch(here: Path) -> None:
    propose([np.full((96, 96, 3), 128, dtype=np.uint8)] * 9)
    empty = np.zeros((8, 96, 96), dtype=np.uint16)
    write_maps(tuple(f"{number:03d}" for number in range(8)), empty, np.zeros((8, 1), dtype=np.uint8))
    labels, choice = cluster()
    assert not labels.usable
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


def test_counts_that_vary_wildly_exclude_the_branch(here: Path) -> None:
    propose([draw(seed, discs=1 + 11 * (seed % 2), squares=0) for seed in range(25)])
    labels, choice = cluster()
    assert not labels.usable
    assert any("vary wildly" in reason for reason in choice["reasons"])


def test_component_maps_of_other_images_are_refused(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    propose([draw(seed) for seed in range(5)])
    maps = read_component_maps(MAPS)
    write_maps(("x", *maps.image_ids[1:]), maps.values, maps.kinds)
    with pytest.raises(SystemExit):
        main(CLUSTER)
    assert "do not belong to these training images: run `dvc repro pseudo_label`" in caplog.text
    assert not (here / "clusters").exists()


def test_without_copies_the_pasted_file_does_not_depend_on_classes(here: Path) -> None:
    propose([draw(seed) for seed in range(13)])
    assert cluster()[0].num_classes == 3
    before = (here / "clusters/pasted.npz").read_bytes()
    change_params(here, {"profiles.tiny.aecsad.cluster.min_class_area": 0.5})
    assert not cluster()[0].usable
    assert (here / "clusters/pasted.npz").read_bytes() == before
    assert read_pasted_images(here / "clusters/pasted.npz").images.shape == (0, SIZE, SIZE, 3)


def test_each_training_image_is_pasted_as_often_as_asked(here: Path) -> None:
    propose([draw(seed) for seed in range(13)])
    change_params(here, {"profiles.tiny.aecsad.cluster.pasted_components.copies": 2})
    main(CLUSTER)
    assert read_pasted_images(here / "clusters/pasted.npz").images.shape == (24, SIZE, SIZE, 3)
