"""Classes of components: modes, frequencies and areas worked out by hand, and labels that are withdrawn."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.cluster import MeanShift

from stages.aecsad.cluster.classes import label_images, paint_classes
from stages.aecsad.cluster.composition import Plausibility
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.model.describe import measure_instances
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.modes import by_frequency, find_classes, find_modes
from stages.core.io.components import ComponentMaps
from tests.unit.aecsad.drawings import SECTIONS, draw


def test_mean_shift_finds_the_clusters_also_outside_its_sample() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [60, 50, 40])
    points = np.array([[0, 0], [5, 0], [0, 5]])[truth] + random.normal(0, 0.2, (150, 2))
    found = find_classes(points, bandwidth=None, quantile=0.2, sample=75, seed=0)
    assert len(set(zip(truth.tolist(), found.tolist(), strict=True))) == 3
    assert by_frequency(found, min_count=45).tolist() == [1] * 60 + [2] * 50 + [0] * 40


def test_modes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    points = random.normal(0, 1, (200, 3)) + 6 * random.integers(0, 2, (200, 3))
    ours, theirs = find_modes(points, 2.0), MeanShift(bandwidth=2.0).fit(points).cluster_centers_
    assert len(ours) == len(theirs) > 8  # eight clumps and some strays
    np.testing.assert_allclose(ours[np.lexsort(ours.T.round(1))], theirs[np.lexsort(theirs.T.round(1))], atol=0.05)


def test_a_fixed_bandwidth_decides_the_number_of_classes() -> None:
    points = np.repeat([[0.0], [4.0], [9.0]], 6, axis=0) + np.linspace(0, 0.1, 18)[:, None]
    for bandwidth, classes in ((1.0, 3), (20.0, 1)):
        found = find_classes(points, bandwidth=bandwidth, quantile=None, sample=100, seed=0)
        assert len(set(found)) == classes


def test_identical_instances_are_one_class() -> None:
    points = np.repeat([[0.0, 1.0], [2.0, 0.0]], [30, 2], axis=0)
    found = find_classes(points, bandwidth=None, quantile=0.2, sample=20, seed=0)
    assert by_frequency(found, min_count=3).tolist() == [1] * 30 + [0] * 2


def test_unknown_instances_have_no_class() -> None:
    assert by_frequency(np.array([0, 0, 0, 7, 7, 3]), min_count=2).tolist() == [0, 0, 0, 1, 1, 0]
    assert by_frequency(np.zeros(0, dtype=np.int64), min_count=1).tolist() == []


def test_painting_drops_tiny_classes_and_closes_the_gap(two_instances: tuple[np.ndarray, np.ndarray]) -> None:
    maps, images = two_instances
    components = ComponentMaps(("a", "b", "c"), maps, np.zeros((3, 3), dtype=np.uint8))
    table = measure_instances(maps, images)
    values, classes = paint_classes(components, table, np.array([1, 2]), min_area=0.001)  # 1 and 32 of 1200 pixels
    assert classes.tolist() == [0, 1]
    np.testing.assert_array_equal(values, maps == 2)
    values, classes = paint_classes(components, table, np.array([1, 2]), min_area=0.0)
    assert np.bincount(values.ravel()).tolist() == [1167, 1, 32]


def label(seeds: range, **changes: object) -> tuple[LabelMaps, Plausibility]:
    """Label pictures whose instances are told apart by colour, with CSAD's descriptors."""
    pictures = [draw(seed) for seed in seeds]
    parts = [(np.abs(picture.astype(int) - 150).max(axis=2) > 60).astype(np.uint8) for picture in pictures]
    values = np.stack([cv2.connectedComponents(part)[1].astype(np.uint16) for part in parts])
    kinds = np.zeros((len(pictures), int(values.max()) + 1), dtype=np.uint8)
    components = ComponentMaps(tuple(str(seed) for seed in seeds), values, kinds)
    section = {"descriptor": "projected", "views": "twenty", "appearance_dimensions": 64, **changes}
    params = ClusterParams.model_validate({**SECTIONS["cluster"], **section})
    return label_images(components, np.stack(pictures), "tf_efficientnet_lite0", params, seed=0)


def test_projected_descriptors_tell_discs_from_squares() -> None:
    labels, verdict = label(range(12), groups="every")
    assert verdict.num_classes == 2
    assert labels.labelled.any()


def test_labels_without_a_typical_image_are_withdrawn(caplog: pytest.LogCaptureFixture) -> None:
    labels, verdict = label(range(5), groups="largest", min_class_share=0.0)
    assert verdict.labelled == 0
    assert not labels.usable
    assert not labels.values.any()
    assert not labels.labelled.any()
    assert any("only 0 images are typical enough to learn from (needed 4)" in reason for reason in verdict.reasons)
    assert "the histogram branch is excluded" in caplog.text


@pytest.mark.parametrize("changes", [{"bandwidth": 3.5}, {"bandwidth_quantile": None}])
def test_either_a_bandwidth_or_its_quantile(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give either bandwidth or bandwidth_quantile"):
        ClusterParams.model_validate({**SECTIONS["cluster"], **changes})
