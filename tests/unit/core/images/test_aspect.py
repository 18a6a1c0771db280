"""What oblong pictures are resized to: hand-computed sides, and when a product has an aspect ratio of its own."""

from pathlib import Path

import pytest

from stages.core.images.aspect import ASPECT, common_aspect, read_aspect, sides_for, write_aspect
from stages.core.run.errors import UserError


@pytest.mark.parametrize(
    ("aspect", "side", "sides"),
    [
        (None, 256, (256, 256)),
        (2.5, 512, (320, 800)),  # 512 / 1.581 = 323.8, 512 * 1.581 = 809.5; multiples of 32
        (0.4, 512, (800, 320)),
        (2.0, 256, (192, 352)),  # 181.0, 362.0
        (100.0, 64, (32, 192)),  # as for 8: 22.6, 181.0
    ],
)
def test_sides_have_the_ratio_and_about_the_pixels_of_the_square(
    aspect: float | None, side: int, sides: tuple[int, int]
) -> None:
    assert sides_for(aspect, side) == sides


@pytest.mark.parametrize(
    ("widths", "heights", "aspect"),
    [
        ([1250] * 3, [500] * 3, 2.5),
        ([500] * 3, [1250] * 3, 0.4),
        ([100, 101, 99], [100] * 3, None),  # near square
        ([140] * 3, [100] * 3, None),
        ([200, 200, 300, 400, 400], [100] * 5, None),  # none in common
        ([200] * 95 + [900] * 5, [100] * 100, 2.0),  # few others do not matter
        ([], [], None),
    ],
)
def test_only_oblong_pictures_that_are_alike_have_a_ratio(
    widths: list[int], heights: list[int], aspect: float | None
) -> None:
    assert common_aspect(widths, heights) == aspect


def test_a_ratio_is_kept_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_aspect(tmp_path, None)
    assert not (tmp_path / ASPECT).exists()
    assert read_aspect(tmp_path) is None
    write_aspect(tmp_path, 2.5)
    assert read_aspect(tmp_path) == 2.5
    for content in (
        "{",
        "[]",
        '{"width_over_height": 0}',
        '{"width_over_height": "wide"}',
        '{"width_over_height": NaN}',
    ):
        (tmp_path / ASPECT).write_text(content)
        with pytest.raises(UserError, match=f"{ASPECT}: no readable aspect ratio"):
            read_aspect(tmp_path)
