"""CSAD's way of describing components and choosing typical images."""

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from stages.aecsad.cluster.classes import find_classes, label_images
from stages.aecsad.cluster.composition import group_compositions
from stages.aecsad.cluster.describe import project, twenty_views
from stages.aecsad.cluster.params import ClusterParams
from stages.core.encoder.encoder import stack_images
from stages.core.io.components import ComponentMaps
from tests.unit.aecsad.pseudo_label.case import SECTIONS, SIZE, draw

LIMITS = {"min_group_share": 0.25, "labelled_share": 0.5}


def two_groups() -> np.ndarray:
    """12 images around (0.1, 0.2), 8 around (0.3, 0.2) and two odd ones."""
    random = np.random.default_rng(0)
    centres = np.repeat([[0.1, 0.2], [0.3, 0.2], [0.9, 0.9], [0.5, 0.6]], [12, 8, 1, 1], axis=0)
    return centres + random.normal(0, 0.002, centres.shape)


def test_twenty_views_turn_a_circle_with_both_ends() -> None:
    crop = torch.zeros(1, 3, 17, 17, dtype=torch.uint8)
    crop[0, :, 4, 8] = 200  # above the centre
    views = twenty_views(torch.cat([crop, crop]))
    assert views.shape == (40, 3, 17, 17)
    assert torch.equal(views[0:1], crop)
    assert torch.equal(views[38:39], crop)  # 360 degrees
    assert all((views[row] > 0).any() for row in range(40))
    assert len({views[row].numpy().tobytes() for row in range(0, 40, 2)}) > 10


def test_the_projection_is_random_linear_and_seeded() -> None:
    features = np.random.default_rng(0).normal(size=(5, 2048)).astype(np.float32)
    points = project(features, dimensions=512, seed=1)
    assert points.shape == (5, 512)
    np.testing.assert_allclose(project(2 * features, dimensions=512, seed=1), 2 * points, rtol=1e-5)
    assert not np.allclose(project(features, dimensions=512, seed=2), points)
    expected = 0.01 * np.linalg.norm(features, axis=1) * np.sqrt(512)  # of a sum of independent weights
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), expected, rtol=0.15)


def test_a_fixed_bandwidth_decides_the_number_of_classes() -> None:
    points = np.repeat([[0.0], [4.0], [9.0]], 6, axis=0) + np.linspace(0, 0.1, 18)[:, None]
    for bandwidth, classes in ((1.0, 3), (20.0, 1)):
        found = find_classes(points, bandwidth=bandwidth, quantile=None, sample=100, seed=0)
        assert len(set(found)) == classes


def test_half_of_the_largest_group_is_labelled() -> None:
    found = group_compositions(two_groups(), groups="largest", **LIMITS)
    assert found.found == 2
    assert found.labelled.sum() == 6
    assert found.labelled[:12].sum() == 6


def test_the_union_takes_half_of_every_group() -> None:
    found = group_compositions(two_groups(), groups="union", **LIMITS)
    assert (found.labelled[:12].sum(), found.labelled[12:20].sum(), found.labelled[20:].sum()) == (6, 4, 0)


def test_the_nearest_images_may_belong_to_no_group() -> None:
    """As in CSAD's code; `every` would only take members."""
    areas = two_groups()
    found = group_compositions(areas, groups="largest", min_group_share=0.25, labelled_share=1.9)
    assert found.labelled.sum() == int(1.9 * (found.group == np.bincount(found.group[found.group >= 0]).argmax()).sum())
    assert found.labelled[found.group == -1].any() or found.labelled[12:].any()


def test_without_a_group_nothing_is_labelled() -> None:
    """Five images that all differ: HDBSCAN finds no group of any size."""
    areas = 2.0 ** np.arange(5)[:, None] * np.array([[0.01, 0.02]])
    found = group_compositions(areas, groups="largest", min_group_share=0.1, labelled_share=0.5)
    assert found.found == 0
    assert not found.labelled.any()
    assert (found.group == -1).all()


def components_of(seeds: range) -> tuple[ComponentMaps, torch.Tensor]:
    """Pictures and their instances, by colour."""
    pictures = [draw(seed) for seed in seeds]
    parts = [(np.abs(picture.astype(int) - 150).max(axis=2) > 60).astype(np.uint8) for picture in pictures]
    values = np.stack([cv2.connectedComponents(part)[1].astype(np.uint16) for part in parts])
    kinds = np.zeros((len(pictures), int(values.max()) + 1), dtype=np.uint8)
    return ComponentMaps(tuple(str(seed) for seed in seeds), values, kinds), stack_images(pictures, size=SIZE)


def label(components: ComponentMaps, images: torch.Tensor, **changes: object):  # type: ignore[no-untyped-def]
    section = {
        **SECTIONS["cluster"],
        "descriptor": "projected",
        "views": "twenty",
        "appearance_dimensions": 64,
        **changes,
    }
    return label_images(components, images, "tf_efficientnet_lite0", seed=0, **section)  # type: ignore[arg-type]


def test_projected_descriptors_tell_discs_from_squares() -> None:
    labels, verdict = label(*components_of(range(12)), groups="every")
    assert verdict.num_classes == 2
    assert labels.labelled.any()


def test_no_labelled_image_after_hdbscan_takes_the_branch_out(caplog: pytest.LogCaptureFixture) -> None:
    components, images = components_of(range(5))
    labels, verdict = label(components, images, groups="largest", min_class_share=0.0)
    assert verdict.labelled == 0
    assert labels.num_classes == 1
    assert not labels.labelled.any()
    assert any("only 0 images are typical enough to learn from (needed 4)" in reason for reason in verdict.reasons)
    assert "the histogram branch stays out" in caplog.text


@pytest.mark.parametrize("changes", [{"bandwidth": 3.5}, {"bandwidth_quantile": None}])
def test_either_a_bandwidth_or_its_quantile(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give either bandwidth or bandwidth_quantile"):
        ClusterParams.model_validate({**SECTIONS["cluster"], **changes})
