"""AeCSAD's fusion: weights of branches and columns worked out by hand, exclusions, and what cannot be fused."""

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.model.fusion import Fusion
from stages.aecsad.score_fusion.fusing import fuse_scores
from stages.aecsad.score_fusion.params import ScoreFusionParams
from stages.core.run.errors import UserError

BOTH = {"histogram": 1.0, "student_teacher": 1.0}
SPLITS = ["validation"] * 9 + ["test"] * 2
EXPLANATION = {"min_area": 0.1, "stable_share": 0.9, "area_floor": 0.1, "grid": 1, "kept": 1, "examples": 1}


@pytest.fixture
def joined() -> pd.DataFrame:
    """Nine validation images with scores 0..8 in both branches, and two test images."""
    table = pd.DataFrame({"image_id": [*(f"v{n}" for n in range(9)), "t0", "t1"], "split": SPLITS})
    table["histogram_1x1"] = [*np.arange(9.0), 4.0, 10.0]
    table["histogram_2x2"] = 3 * table["histogram_1x1"] + 7
    return table.assign(student_teacher=[*np.arange(9.0), 10.0, 4.0])


def fuse(
    joined: pd.DataFrame,
    columns: tuple[float, float],
    *,
    branches: dict[str, float] = BOTH,
    equal: bool = False,
    classes: int = 3,
) -> tuple[pd.DataFrame, Fusion]:
    """Fuse with the weights of the histogram's two columns and of the branches; scores by image_id."""
    params = ScoreFusionParams.model_validate(
        {
            "histogram_columns": "equal" if equal else "reliability",
            "branch_weights": branches,
            "explanation": EXPLANATION,
        }
    )
    weights = dict(zip(("histogram_1x1", "histogram_2x2"), columns, strict=True))
    scores, fusion = fuse_scores(joined, {"weights": weights, "num_classes": classes}, params, None)
    return scores.set_index("image_id"), fusion


def test_scores_are_the_sum_of_both_branches(joined: pd.DataFrame) -> None:
    scores, _ = fuse(joined, (1.0, 0.5))
    # quantiles .2 and .8 of 0..8 are 1.6 and 6.4: 2..6 are kept, mean 4, population std sqrt(2); both columns of the
    # histogram branch scale to the same z, and the second scaling undoes their weights
    z = 6 / np.sqrt(2)
    assert scores.loc["t1", "histogram"] == pytest.approx(z)
    assert scores.loc["t0", "student_teacher"] == pytest.approx(z)
    assert scores.loc["t0", "score"] == pytest.approx(scores.loc["t1", "score"])


def test_a_branch_whose_columns_have_no_weight_is_excluded(
    joined: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        scores, _ = fuse(joined, (0.0, 0.0))
    assert list(scores.columns) == ["split", "score", "student_teacher"]
    np.testing.assert_array_equal(scores["score"], scores["student_teacher"])
    assert "branch histogram: excluded" in caplog.text


def test_branch_weights_scale_the_branches_in_the_sum(joined: pd.DataFrame) -> None:
    scores, _ = fuse(joined, (1.0, 0.5), branches={"histogram": 0.5, "student_teacher": 2.0})
    own = scores[scores["split"] == "validation"]
    np.testing.assert_allclose(own["score"], 0.5 * own["histogram"] + 2.0 * own["student_teacher"])
    assert scores.loc["t1", "histogram"] == pytest.approx(6 / np.sqrt(2))  # unweighted, as before


@pytest.mark.parametrize("excluded", ["histogram", "student_teacher"])
def test_a_branch_weight_of_0_excludes_the_branch(joined: pd.DataFrame, excluded: str) -> None:
    scores, _ = fuse(joined, (1.0, 0.5), branches={**BOTH, excluded: 0.0})
    assert {"split", "score", *BOTH} - set(scores.columns) == {excluded}


def test_equal_columns_take_no_notice_of_the_judgement(joined: pd.DataFrame) -> None:
    _, fusion = fuse(joined, (0.0, 0.3), equal=True)
    assert [column.weight for column in fusion.branches[0].columns] == [1.0, 1.0]


def test_equal_columns_are_excluded_where_there_are_no_classes(joined: pd.DataFrame) -> None:
    scores, _ = fuse(joined, (0.0, 0.0), equal=True, classes=1)
    assert list(scores.columns) == ["split", "score", "student_teacher"]


def test_what_cannot_be_fused_is_refused(joined: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="no branch is left to score with: give student_teacher a weight"):
        fuse(joined, (0.0, 0.0), branches={**BOTH, "student_teacher": 0.0})
    with pytest.raises(UserError, match="no normal validation image to normalise the scores on"):
        fuse(joined[joined["split"] == "test"], (1.0, 1.0))
    params = ScoreFusionParams.model_validate(
        {"histogram_columns": "reliability", "branch_weights": BOTH, "explanation": EXPLANATION}
    )
    with pytest.raises(UserError, match="has no weights of columns"):
        fuse_scores(joined, {"weights": {}}, params, None)
