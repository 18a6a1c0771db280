"""A bundle's fusion scores what the pipeline's does, but for the last digits."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.aecsad.model.fusion import fit_fusion
from stages.core.runtime.conformal import Jackknife
from stages.core.runtime.fusion import Combination, Fusion

BRANCHES = {"histogram": ["h1", "h2"], "student_teacher": ["student_teacher"], "neighbours": ["neighbours"]}
COMBINATIONS = get_args(Combination)
COLUMNS = ("h1", "h2", "student_teacher", "neighbours")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), combination=st.sampled_from(COMBINATIONS),
    jackknife=st.booleans(), far=st.floats(0, 1e6),
)  # fmt: skip
def test_scores_of_new_and_of_validation_images(
    seed: int, count: int, combination: Combination, jackknife: bool, far: float
) -> None:
    generator = np.random.default_rng(seed)
    normal = {name: generator.gamma(2.0, 1.0, count) for name in COLUMNS}
    weights = {name: float(generator.choice([0.0, 0.5, 1.0])) for name in COLUMNS} | {"neighbours": 1.0}
    branch_weights = {name: float(generator.choice([0.0, 0.3, 1.0])) for name in BRANCHES} | {"neighbours": 0.8}
    without = Jackknife(
        {name: tuple(generator.choice([0.0, 1.0], count).tolist()) for name in ("h1", "h2")},
        {name: tuple(generator.choice([0.2, 1.0], count).tolist()) for name in BRANCHES},
    )
    pipeline = fit_fusion(
        BRANCHES, weights, normal, branch_weights=branch_weights, combination=combination,
        without=without if jackknife else None,
    )  # fmt: skip
    ours = Fusion.from_json(pipeline.to_json())
    new = {name: np.concatenate([values, generator.gamma(2.0, 1.0, 4) + [0, 0, 1, far]])
           for name, values in normal.items()}  # fmt: skip
    (expected, expected_parts), (found, parts) = pipeline(new), ours(new)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert set(parts) == set(expected_parts)
    for name, part in parts.items():
        np.testing.assert_allclose(part, expected_parts[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_validation_image_is_known_up_to_the_last_digits(combination: Combination) -> None:
    """On another machine its columns differ by rounding; it keeps the score of the fit all the same."""
    normal = {name: np.random.default_rng(2).gamma(2.0, 1.0, 9) for name in COLUMNS}
    one_by_one = np.eye(9)  # without an image only one branch counts, another one for each: places differ from scores
    branches = {name: tuple(one_by_one[:, number] + one_by_one[:, number + 3]) for number, name in enumerate(BRANCHES)}
    without = Jackknife({name: (1.0,) * 9 for name in ("h1", "h2")}, branches)
    weights = dict.fromkeys(COLUMNS, 1.0)
    pipeline = fit_fusion(BRANCHES, weights, normal, combination=combination, without=without)
    ours = Fusion.from_json(pipeline.to_json())
    shifted = {name: values * (1 + 4e-5) for name, values in normal.items()}
    (expected, expected_parts), (found, parts) = pipeline(normal), ours(shifted)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for name, part in parts.items():
        np.testing.assert_allclose(part, expected_parts[name], rtol=1e-12)
    assert np.abs(pipeline(shifted)[0] / expected - 1).max() > 1e-3, "else nothing would be tested"
