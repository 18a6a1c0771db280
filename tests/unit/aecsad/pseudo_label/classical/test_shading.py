"""Shaded parts: borders worked out by hand, gradients that become one part and steps that stay."""

import numpy as np

from stages.aecsad.pseudo_label.classical.shading import find_borders, groups_of, join_shaded, neighbours


def columns(*widths: int, height: int = 4) -> np.ndarray:
    """Labels 0.. that stand side by side."""
    return np.tile(np.repeat(np.arange(len(widths)), widths), (height, 1))


def joined(labels: np.ndarray, grey: np.ndarray, parts: list[int]) -> list[int]:
    """`join_shaded` of superpixels in an image of one channel."""
    image = np.zeros((*labels.shape, 3))
    image[..., 0] = grey
    area = np.bincount(labels.ravel())
    means = np.stack([np.bincount(labels.ravel(), weights=image[..., channel].ravel()) / area for channel in range(3)])
    return join_shaded(np.array(parts), find_borders(labels, image, neighbours(labels)), means.T, area).tolist()


def test_borders_worked_out_by_hand() -> None:
    labels = columns(4, 4, height=5)
    image = np.zeros((5, 8, 3))
    image[..., 1] = np.arange(8)  # three more, three pixels further right
    borders = find_borders(labels, image, neighbours(labels))
    assert borders.pairs.tolist() == [[0, 1]]
    assert borders.counts.tolist() == [15]  # from columns 1, 2 and 3 to 4, 5 and 6
    np.testing.assert_allclose(borders.steps, [[0, -45, 0]])


def test_parts_on_both_sides_of_a_thin_line_do_not_touch() -> None:
    labels = columns(6, 2, 6)
    borders = find_borders(labels, np.zeros((4, 14, 3)), neighbours(labels))
    assert borders.pairs.tolist() == [[0, 1], [1, 2]]
    grey = np.tile(np.repeat([100.0, 0.0, 110.0], [6, 2, 6]), (4, 1))
    assert joined(labels, grey, [1, 2, 3]) == [1, 2, 3]


def test_a_gradient_is_one_part_and_a_step_is_a_border() -> None:
    labels = columns(10, 10, 10, 10)
    ramp = np.tile(np.arange(40.0), (4, 1))  # halves differ by 10, of which 3 lie within 3 pixels
    assert joined(labels, ramp, [1, 2, 3, 4]) == [1, 1, 1, 1]
    stepped = ramp + np.where(np.arange(40) < 20, 0, 60)
    assert joined(labels, stepped, [1, 2, 3, 4]) == [1, 1, 2, 2]


def test_the_ground_takes_no_part_and_nothing_is_nothing() -> None:
    labels = columns(10, 10)
    assert joined(labels, np.tile(np.arange(20.0), (4, 1)), [0, 1]) == [0, 1]
    assert joined(columns(10), np.zeros((4, 10)), [0]) == [0]


def test_what_was_joined_is_compared_again() -> None:
    # The first two differ by 9, of which 6 lie within 3 pixels: a border. With the third, it is 6 of 18.
    labels = columns(6, 6, 20)
    grey = np.tile(np.arange(32.0), (4, 1))
    grey[:, :6] -= 3
    assert joined(labels, grey, [1, 2, 3]) == [1, 1, 1]
    assert joined(labels, grey, [1, 2, 0]) == [1, 2, 0]


def test_groups_are_connected_components_in_the_order_of_their_first_parts() -> None:
    assert groups_of([(4, 5), (1, 5), (2, 3), (3, 2)], 7).tolist() == [0, 1, 2, 2, 1, 1, 3]
    assert groups_of([], 2).tolist() == [0, 1]
