"""The rule that settles where a part's outline lies, worked out by hand."""

import numpy as np
import pytest

from benchmarks.component_settings import smallest_within_one_error, spread_of_area


def test_spread_is_that_of_the_area_of_all_parts() -> None:
    values = np.zeros((2, 2, 4), dtype=np.uint16)
    values[0, 0, 0] = 1
    values[1, 0, :3] = (1, 2, 2)  # 1 and 3 of 8 pixels: mean 2, standard deviation 1
    assert spread_of_area(values) == pytest.approx(0.5)
    assert spread_of_area(np.zeros_like(values)) == float("inf")


def test_the_lowest_outline_within_one_standard_error_of_the_steadiest_is_taken() -> None:
    spreads = {0.3: 0.120, 0.4: 0.105, 0.5: 0.100, 0.6: 0.104}
    assert smallest_within_one_error(spreads, images=51) == 0.4  # an error of a tenth: up to 0.11
    assert smallest_within_one_error(spreads, images=451) == 0.5  # of a thirtieth: up to 0.1033
    assert smallest_within_one_error(spreads, images=9) == 0.3  # of a quarter
