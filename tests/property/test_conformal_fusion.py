"""A fused score takes every place among validation images equally often, so that a threshold from these keeps its word.

`fit_fusion` and `conformal_threshold` are the pipeline's own. benchmarks/false_alarms.py simulates many sizes.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.aecsad.model.fusion import fit_fusion
from stages.core.io.thresholds import conformal_threshold
from stages.core.runtime.conformal import Jackknife, at_its_place, beaten
from stages.core.runtime.fusion import Combination
from stages.evaluation.thresholds import Reference

HISTOGRAM = {"h1": 1.0, "h2": 0.5, "excluded": 0.0}
WEIGHTS = {"histogram": 1.0, "student_teacher": 0.7, "neighbours": 0.9}
BRANCHES = {"histogram": list(HISTOGRAM), "student_teacher": ["student_teacher"], "neighbours": ["neighbours"]}
COLUMNS = [*HISTOGRAM, "student_teacher", "neighbours"]
COMBINATIONS: list[Combination] = ["sum", "fisher", "by_kind"]
Columns = dict[str, np.ndarray]


def draw(random: np.random.Generator, count: int) -> Columns:
    """Correlated columns in different units, one of them skewed."""
    values = random.normal(size=(count, len(COLUMNS))) + random.normal(size=(count, 1))
    columns = {name: values[:, number] * 10.0**number for number, name in enumerate(COLUMNS)}
    return {**columns, "student_teacher": np.exp(values[:, -1])}


def pick(columns: Columns, rows: np.ndarray | list[int] | slice) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 15), st.integers(0, 2**32), st.sampled_from(COMBINATIONS))
def test_images_that_could_all_be_the_new_one_take_every_place_once(
    count: int, seed: int, combination: Combination
) -> None:
    """Of n + 1 images each is the new one in turn: for the final score and for each branch the places are 0 to n."""
    columns = draw(np.random.default_rng(seed), count + 1)
    places: dict[str, list[int]] = {"score": [], **{name: [] for name in WEIGHTS}}
    for new in range(count + 1):
        normal = pick(columns, np.arange(count + 1) != new)
        fusion = fit_fusion(BRANCHES, HISTOGRAM | WEIGHTS, normal, branch_weights=WEIGHTS, combination=combination)
        (score, parts), (own, own_parts) = fusion(pick(columns, [new])), fusion.of_fitted(normal)
        places["score"].append(int((own < score[0]).sum()))
        for name in WEIGHTS:
            places[name].append(int((own_parts[name] < parts[name][0]).sum()))
    assert {name: sorted(found) for name, found in places.items()} == dict.fromkeys(places, list(range(count + 1)))


@pytest.mark.parametrize(("count", "combination"), [(2, "fisher"), (3, "sum"), (2, "by_kind")])
def test_the_stated_rate_of_false_alarms_is_kept(count: int, combination: Combination) -> None:
    """Over 300 draws of validation images, each of which judges 10 new ones."""
    random, shares = np.random.default_rng(count), []
    for _ in range(300):
        normal, new = draw(random, count), draw(random, 10)
        fusion = fit_fusion(BRANCHES, HISTOGRAM | WEIGHTS, normal, branch_weights=WEIGHTS, combination=combination)
        threshold = conformal_threshold(fusion(normal)[0], budget=0.05)
        shares.append((fusion(new)[0] > threshold.value).mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) == pytest.approx(threshold.attainable_false_alarm_rate, abs=3.3 * error)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 600), st.integers(0, 2**32), st.sampled_from(COMBINATIONS))
def test_a_score_does_not_depend_on_the_images_scored_with_it(
    count: int, new: int, seed: int, combination: Combination
) -> None:
    random = np.random.default_rng(seed)
    fusion = fit_fusion(BRANCHES, HISTOGRAM | WEIGHTS, draw(random, count), combination=combination)
    columns = draw(random, new)
    row = int(random.integers(new))
    (together, parts), (alone, own_parts) = fusion(columns), fusion(pick(columns, [row]))
    assert together[row] == alone[0]
    assert {name: part[row] for name, part in parts.items()} == {name: part[0] for name, part in own_parts.items()}


def test_a_score_moves_no_farther_than_to_its_place_by_hand() -> None:
    """Validation images at 1, 3 and 5; by the scales that were fitted with it, each new one lies above one of them."""
    rank = beaten(np.array([[[0.0, 2.0, 4.0, 1.0]]] * 4))
    np.testing.assert_allclose(
        at_its_place(np.array([0.5, 2.0, 3.0, 9.0]), np.array([5.0, 1.0, 3.0]), rank), [1.0002, 2.0, 3.0, 3.0]
    )
    moved = at_its_place(np.array([0.5]), np.array([5.0, 1.0, 3.0]), rank[:1])
    assert Reference(np.array([1.0, 3.0, 5.0]), 5.0).p_value(moved[0]) == 0.75


def test_a_moved_score_is_told_from_that_of_a_validation_image_and_stays_in_its_interval() -> None:
    own = np.array([2.0, 2.0, 2.00002, 5.0])
    found = at_its_place(np.full(5, 1.0), own, np.arange(5))
    np.testing.assert_allclose(found, [1.0, 2.0, 2.00001, 2.00002 + 3e-4, 5.0005], rtol=1e-9)


def test_each_pair_is_compared_by_weights_that_neither_has_chosen_by_hand() -> None:
    """Two validation images and a new one: without the first one only "b" counts, without the second one only "a"."""
    sets = np.array([[[9.0, 0.0, 8.0], [0.0, 3.0, 4.0]]])  # rows: by the weights without the first, without the second
    assert beaten(sets).tolist() == [1]  # 9 > 8, and 3 < 4
    normal = {"a": np.array([0.0, 1.0]), "b": np.array([3.0, 0.0])}
    without = Jackknife({}, {"a": (0.0, 1.0), "b": (1.0, 0.0)})
    weights = {"a": 1.0, "b": 0.0}
    fusion = fit_fusion(
        {"a": ["a"], "b": ["b"]}, dict.fromkeys("ab", 1.0), normal, branch_weights=weights, without=without
    )
    assert set(fusion.normal) == {"a", "b"}  # "b" has no weight now, and may have had with other images
    for new, place in (({"a": 0.5, "b": 4.0}, 1), ({"a": 2.0, "b": 4.0}, 2), ({"a": 2.0, "b": 2.0}, 1)):
        score = fusion({name: np.array([value]) for name, value in new.items()})[0]
        assert int((fusion.of_fitted(normal)[0] < score[0]).sum()) == place


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 8), st.integers(0, 2**32), st.sampled_from(COMBINATIONS))
def test_each_pair_is_compared_as_by_a_fit_of_all_images_with_the_weights_without_that_one(
    count: int, seed: int, combination: Combination
) -> None:
    """Without some images a branch, all columns of one or all branches of a kind have no weight.

    Where `parts` has none, the p of its kind weighs less.
    """
    random = np.random.default_rng(seed)
    columns = draw(random, count + 1) | {"parts": random.normal(size=count + 1)}
    own, given = WEIGHTS | {"parts": 0.5}, BRANCHES | {"parts": ["parts"]}
    normal, new = pick(columns, slice(count)), pick(columns, [count])
    rows = {name: random.choice([0.0, 0.4, 1.0], count) for name in (*HISTOGRAM, *own)}
    without = Jackknife(*({name: tuple(rows[name].tolist()) for name in names} for names in (HISTOGRAM, own)))
    fusion = fit_fusion(given, HISTOGRAM | own, normal, branch_weights=own, combination=combination, without=without)
    place = 0
    for image in range(count):
        weights = own | {name: float(rows[name][image]) for name in HISTOGRAM}
        branches = {name: float(rows[name][image]) for name in own}
        if not any(branches[name] and any(weights[one] for one in given[name]) for name in own):
            continue  # no branch tells one image from another
        fitted = fit_fusion(given, weights, columns, branch_weights=branches, combination=combination)
        scores = fitted.of_fitted(columns)[0]
        place += int(scores[count] > scores[image])
    assert fusion.places(normal, new)[0].tolist() == [place]


def test_an_image_far_above_all_others_keeps_its_score() -> None:
    columns = draw(np.random.default_rng(0), 30)
    fusion = fit_fusion(BRANCHES, HISTOGRAM | WEIGHTS, columns)
    far = {name: np.array([values.max() + 20 * values.std()]) for name, values in columns.items()}
    assert fusion(far)[0] == fusion.of_fitted(far)[0]


@given(st.integers(1, 12), st.integers(0, 2**32), st.sampled_from(COMBINATIONS))
def test_a_validation_image_is_scored_again_as_it_was(count: int, seed: int, combination: Combination) -> None:
    columns = draw(np.random.default_rng(seed), count)
    fusion = fit_fusion(BRANCHES, HISTOGRAM | WEIGHTS, columns, branch_weights=WEIGHTS, combination=combination)
    (score, parts), (own, own_parts) = fusion(columns), fusion.of_fitted(columns)
    np.testing.assert_array_equal(score, own)
    np.testing.assert_equal(parts, own_parts)
