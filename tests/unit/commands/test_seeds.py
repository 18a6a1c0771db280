"""Several runs side by side."""

from typing import Any

import pandas as pd
import pytest

from commands.compare.revisions import Evaluated
from commands.seeds import comparing_table, mean_and_spread, verdicts_that_differ
from stages.core.run.errors import UserError


def make_run(*scores: float, threshold: float = 2.0, auroc: float | None = 0.9) -> Evaluated:
    """A run whose test images have these scores; without scores none are kept."""
    groups = {"all": auroc, "logical": auroc, "structural": auroc}
    metrics: dict[str, Any] = {
        "image_auroc": groups, "pixel_auroc": groups, "at_threshold": {"false_alarm_rate": 0.5},
        "threshold": {"value": threshold},
    }  # fmt: skip
    index = pd.Index([f"test/{number}" for number in range(len(scores))], name="image_id")
    return Evaluated(metrics, {}, pd.DataFrame({"score": scores}, index=index) if scores else None)


def test_mean_and_spread_by_hand() -> None:
    runs = [{"image_auroc": {"all": value}} for value in (0.90, 0.94, 0.92)]
    assert mean_and_spread(runs, ("image_auroc", "all")) == "92.0 ± 2.0"
    assert mean_and_spread([*runs, {"image_auroc": {"all": None}}], ("image_auroc", "all")) == "-"


def test_verdicts_by_each_run_s_own_threshold() -> None:
    first, second = make_run(1, 3, 3, 1), make_run(10, 30, 10, 10, threshold=20.0)
    assert verdicts_that_differ([first, second]) == "25.0"
    assert second.scores is not None
    turned = Evaluated(second.metrics, {}, second.scores.iloc[::-1])
    assert verdicts_that_differ([first, turned]) == "25.0"  # joined by image
    assert verdicts_that_differ([first, make_run(10, 30, 30, 10, threshold=20.0)]) == "0.0"


@pytest.mark.parametrize("other", [make_run(), make_run(1, 2)])
def test_other_images_cannot_be_compared(other: Evaluated) -> None:
    assert verdicts_that_differ([make_run(1, 2, 3), other]) == "-"


def test_a_line_for_each_pair_that_was_evaluated() -> None:
    pairs = [("tray", "ours"), ("tray", "theirs")]
    runs = {"a": {pairs[0]: make_run(1, 3)}, "b": {pairs[0]: make_run(1, 1, auroc=0.8)}}
    table = comparing_table(runs, pairs)
    assert [list(column.cells) for column in table.columns] == [
        ["tray"], ["ours"], *[["85.0 ± 5.0"]] * 4, ["50.0 ± 0.0"], ["50.0"]
    ]  # fmt: skip
    runs["b"][pairs[1]] = make_run(1, 3)
    with pytest.raises(UserError, match="a: no evaluation of theirs on tray, which other runs have"):
        comparing_table(runs, pairs)
