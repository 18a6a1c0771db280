"""From label maps to numbered instances."""

import numpy as np

from stages.aecsad.pseudo_label.proposal import instances_of_regions


def test_regions_are_numbered_within_the_image_and_specks_dropped() -> None:
    labels = np.zeros((2, 10, 10), dtype=np.uint8)
    labels[0, 0:2, 0:2] = 2
    labels[0, 2:4, 2:4] = 2  # touches the first at a corner: one region
    labels[0, 6:9, 6:9] = 1
    labels[1, 5, 5] = 1  # not more than 1 % of the image
    proposal = instances_of_regions(labels, min_area=0.01, kinds_known=True)
    assert proposal.kinds.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert (proposal.values[0, 6:9, 6:9] == 1).all()
    assert (proposal.values[0, 2:4, 2:4] == proposal.values[0, 0:2, 0:2]).all()
    assert not proposal.values[1].any()
    assert not instances_of_regions(labels, min_area=0.01, kinds_known=False).kinds.any()


def test_a_region_at_the_limit_is_dropped_and_one_pixel_more_is_kept() -> None:
    labels = np.zeros((2, 10, 10), dtype=np.uint8)
    labels[0, 0, 0:2] = labels[1, 0, 0:3] = 1  # 2 % and 3 % of the image
    assert instances_of_regions(labels, min_area=0.02, kinds_known=True).values.max(axis=(1, 2)).tolist() == [0, 1]
