"""Maps without OpenCV."""

import cv2
import numpy as np

from stages.aecsad.model.map_fusion import MapFusion as PipelineFusion
from stages.core.runtime.maps import MapFusion, MapScale, bilinear, to_half
from tests.table import violations


def test_resizing_is_that_of_opencv() -> None:
    def check(before: tuple[int, int], after: tuple[int, int]) -> None:
        values = np.random.default_rng(0).normal(0, 100, (2, *before)).astype(np.float32)
        expected = np.stack([cv2.resize(one, after[::-1], interpolation=cv2.INTER_LINEAR) for one in values])
        np.testing.assert_allclose(bilinear(values, after), expected, rtol=0, atol=2e-4)

    rows = [((32, 32), (56, 56)), ((28, 28), (56, 56)), ((56, 56), (32, 32)), ((1, 1), (4, 5)), ((7, 3), (512, 384))]
    assert violations(check, rows) == []


def test_a_fused_map_is_the_pipelines() -> None:
    scales = {"a": MapScale(0.3, 2.0, 0.25), "b": MapScale(-4.0, 0.01, 0.75)}
    generator = np.random.default_rng(1)
    maps = {"a": to_half(generator.normal(size=(3, 32, 32))), "b": to_half(generator.normal(size=(3, 56, 56)))}
    ours, theirs = MapFusion(scales, (56, 56))(maps), PipelineFusion(scales, (56, 56))(maps)
    assert ours.dtype == theirs.dtype == np.float16
    np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=1e-3)
