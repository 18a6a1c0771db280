"""How far a branch is trusted: by hand, and never for what may be chance."""

import numpy as np
import pytest

from stages.aecsad.hybrid_fusion.branches import judge_branch


def test_a_weight_is_twice_the_auroc_less_one() -> None:
    normal, synthetic = np.arange(20.0), np.arange(20.0) + 15.5  # of 400 pairs, 4 + 3 + 2 + 1 are the wrong way round
    trust = judge_branch(normal, synthetic, [], chance=0.01)
    assert trust.synthetic_auroc == pytest.approx(390 / 400)
    assert trust.weight == pytest.approx(2 * 390 / 400 - 1)


def test_a_branch_that_may_be_right_by_chance_stays_out() -> None:
    normal, synthetic = np.arange(8.0), np.arange(8.0) + 0.5
    trust = judge_branch(normal, synthetic, [], chance=0.01)
    assert trust.synthetic_auroc == pytest.approx(36 / 64)
    assert trust.weight == 0
    assert "chance" in trust.reason


def test_edits_that_a_branch_sees_count_when_they_are_more() -> None:
    normal, synthetic = np.arange(8.0), np.arange(8.0)
    assert judge_branch(normal, synthetic, [0.8, 0.9], chance=0.01).weight == pytest.approx(0.8)


@pytest.mark.parametrize("count", [0, 5])
def test_a_constant_branch_stays_out(count: int) -> None:
    assert judge_branch(np.ones(count), np.ones(count), [], chance=0.01).weight == 0


def test_random_scores_rarely_count() -> None:
    random = np.random.default_rng(0)
    draws = [judge_branch(random.normal(size=40), random.normal(size=40), [], chance=0.01) for _ in range(300)]
    assert sum(draw.weight > 0 for draw in draws) <= 9  # expected 3
