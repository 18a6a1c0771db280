"""Several runs side by side."""

import pandas as pd
import pytest

from commands.seeds import mean_and_spread, verdicts_that_differ


def make_scores(*values: float) -> pd.Series:
    return pd.Series(values, index=[f"test/{n}" for n in range(len(values))])


def test_mean_and_spread_by_hand() -> None:
    runs = [{"image_auroc": {"all": value}} for value in (0.90, 0.94, 0.92)]
    assert mean_and_spread(runs, ("image_auroc", "all")) == "92.0 ± 2.0"
    assert mean_and_spread([*runs, {"image_auroc": {"all": None}}], ("image_auroc", "all")) == "-"


def test_verdicts_by_each_run_s_own_threshold() -> None:
    runs = [{"threshold": {"value": 2.0}}, {"threshold": {"value": 20.0}}]
    first, second = make_scores(1, 3, 3, 1), make_scores(10, 30, 10, 10)
    assert verdicts_that_differ(runs, [first, second]) == "25.0"
    assert verdicts_that_differ(runs, [first, second.iloc[::-1]]) == "25.0"  # joined by image
    assert verdicts_that_differ(runs, [first, first * 10]) == "0.0"


@pytest.mark.parametrize("other", [None, make_scores(1, 2)])
def test_other_images_cannot_be_compared(other: pd.Series | None) -> None:
    runs = [{"threshold": {"value": 2.0}}, {"threshold": {"value": 2.0}}]
    assert verdicts_that_differ(runs, [make_scores(1, 2, 3), other]) == "-"
