"""Connected regions in NumPy are those that OpenCV finds."""

import numpy as np
import pytest

from stages.core.images.regions import connected_regions
from stages.core.runtime.regions import mask_regions, region_at


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.95])
def test_they_are_opencvs(share: float) -> None:
    mask = np.random.default_rng(0).random((40, 33)) < share
    wanted = sorted(connected_regions(mask, min_area=2), key=lambda region: region.box[:2])
    found = mask_regions(mask, min_area=2)
    assert [one.area for one in found] == [one.area for one in wanted]
    boxes = [(top / 40, left / 33, bottom / 40, right / 33) for top, left, bottom, right in (one.box for one in wanted)]
    assert [one.box for one in found] == boxes
    centres = np.array([[(y + 0.5) / 40, (x + 0.5) / 33] for x, y in (one.centre for one in wanted)])
    np.testing.assert_allclose(np.array([one.centre for one in found]), centres, rtol=1e-12)


def test_corners_touch_and_nothing_is_found_of_nothing() -> None:
    mask = np.eye(4, dtype=bool)
    (found,) = mask_regions(mask)
    assert (found.area, found.share, found.box) == (4, 0.25, (0.0, 0.0, 1.0, 1.0))
    assert mask_regions(np.zeros((3, 3), dtype=bool)) == []


def test_the_region_at_a_pixel() -> None:
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], dtype=bool)
    assert region_at(mask, 1, 3).box == (0.0, 0.75, 1.0, 1.0)
    assert region_at(mask, 0, 1).area == 2
