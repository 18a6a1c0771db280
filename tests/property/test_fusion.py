"""Invariants of the trimmed z and the fusion."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.aecsad.model.fusion import Fusion, fit_fusion, fusion_from_json, kinds_of
from stages.aecsad.model.scaling import evidence, fit_trimmed_z
from stages.core.runtime.fusion import Branch, Column, Kind
from stages.core.runtime.fusion import Fusion as RuntimeFusion
from stages.core.runtime.scaling import TRIMMED_STD, TrimmedZ

scores = st.lists(st.integers(-1000, 1000), min_size=1, max_size=40).map(lambda v: np.array(v, dtype=np.float64))


different_scores = st.lists(st.integers(-1000, 1000), min_size=8, max_size=40, unique=True)


@given(different_scores.map(lambda v: np.array(v, dtype=np.float64)), st.floats(0.01, 100), st.floats(-50, 50))
def test_scaled_scores_do_not_depend_on_the_unit(validation: np.ndarray, factor: float, shift: float) -> None:
    plain = fit_trimmed_z(validation)(validation)
    moved = validation * factor + shift
    np.testing.assert_allclose(fit_trimmed_z(moved)(moved), plain, rtol=1e-6, atol=1e-6)


@given(scores)
def test_scaled_scores_are_finite_and_keep_their_order(validation: np.ndarray) -> None:
    scaled = fit_trimmed_z(validation)(validation)
    assert np.isfinite(scaled).all()
    np.testing.assert_array_equal(np.argsort(scaled, kind="stable"), np.argsort(validation, kind="stable"))


@given(st.permutations(range(12)))
def test_image_order_does_not_change_a_score(order: list[int]) -> None:
    random = np.random.default_rng(0)
    columns = {name: random.normal(size=12) for name in ("a", "b", "c")}
    branches = {"first": ["a", "b"], "second": ["c"]}
    weights = {"a": 1.0, "b": 0.5, "c": 1.0}
    plain = fit_fusion(branches, weights, columns).of_fitted(columns)[0]
    shuffled = {name: values[order] for name, values in columns.items()}
    np.testing.assert_allclose(fit_fusion(branches, weights, shuffled).of_fitted(shuffled)[0], plain[order], atol=1e-9)


def test_a_branch_without_weight_changes_nothing() -> None:
    random = np.random.default_rng(0)
    columns = {"good": random.normal(size=20), "noise": random.normal(size=20)}
    with_noise = fit_fusion({"good": ["good"], "noise": ["noise"]}, {"good": 1.0, "noise": 0.0}, columns)
    alone = fit_fusion({"good": ["good"]}, {"good": 1.0}, columns)
    np.testing.assert_array_equal(with_noise.of_fitted(columns)[0], alone.of_fitted(columns)[0])
    assert list(with_noise.of_fitted(columns)[1]) == ["good"]


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(ValueError, match="every branch has weight 0"):
        fit_fusion({"a": ["a"]}, {"a": 0.0}, {"a": np.arange(4.0)})


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, -2.3, 1e-9, 1e9])
def test_equal_scores_of_typical_images_are_no_tiny_spread(value: float) -> None:
    """Their mean may differ from them in its last digit; divided by that, each other score would be 1e16."""
    for count in (21, 41):
        tail = (count - 1) // 5 + 1
        middle = [value] * (count - 2 * tail)
        validation = np.array(
            [*np.linspace(value - 1, value - 0.5, tail), *middle, *np.linspace(value + 0.5, value + 1, tail)]
        )
        sets = fit_trimmed_z(np.stack([validation, validation[::-1]]))(np.array([[value + 0.5]] * 2))
        assert fit_trimmed_z(validation).std == 1.0
        np.testing.assert_allclose(sets, 0.5)


@pytest.mark.parametrize("values", [[], [1.0, np.nan]], ids=["none", "nan"])
def test_validation_scores_must_be_there_and_finite(values: list[float]) -> None:
    with pytest.raises(ValueError, match="must be finite and at least one"):
        fit_trimmed_z(np.array(values))


def test_json_round_trip() -> None:
    columns = {"a": np.arange(9.0), "b": np.arange(9.0) ** 2}
    fusion = fit_fusion({"x": ["a", "b"]}, {"a": 1.0, "b": 0.25}, columns)
    assert fusion_from_json(fusion.to_json()) == fusion


def test_evidence_by_hand() -> None:
    """At the middle half of the images score higher: log 2; 1.645 whole standard deviations up it is one in twenty."""
    spread = np.random.default_rng(0).normal(size=200_000)
    scaled = fit_trimmed_z(spread)
    np.testing.assert_allclose(
        evidence(scaled(np.array([0.0, 1.6449, 2.3263]))), np.log([2, 20, 100]), rtol=0.02
    )  # fmt: skip
    np.testing.assert_allclose(evidence(np.array([0.0])), np.log(2))


@given(st.lists(st.floats(-50, 1e6), min_size=2, max_size=20).map(sorted))
def test_evidence_is_finite_never_negative_and_keeps_the_order(values: list[float]) -> None:
    found = evidence(np.array(values))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found) >= 0).all()


def test_what_one_branch_sees_clearly_is_not_outvoted() -> None:
    """Three branches see nothing in the second image; their noise is worth as much as the first's sight in a sum."""
    columns = {name: np.linspace(-1, 1, 41) for name in "abcd"}
    scale = fit_trimmed_z(columns["a"])
    several, one = np.full(4, 1.4), np.array([6.0, -0.4, -0.5, -0.6])
    images = {name: np.array([several[i], one[i]]) * scale.std for i, name in enumerate("abcd")}
    branches, weights = {name: [name] for name in "abcd"}, dict.fromkeys("abcd", 1.0)
    summed = fit_fusion(branches, weights, columns).of_fitted(images)[0]
    fisher = fit_fusion(branches, weights, columns, combination="fisher").of_fitted(images)[0]
    assert summed[0] > summed[1]
    assert fisher[0] < fisher[1]


def test_a_fusion_is_read_as_written_and_no_unknown_combination() -> None:
    columns = {name: np.linspace(-1, 1, 12) for name in "ab"}
    fitted = fit_fusion({"first": ["a"], "second": ["b"]}, dict.fromkeys("ab", 1.0), columns, combination="fisher")
    written = json.loads(json.dumps(fitted.to_json()))
    assert fusion_from_json(written) == fitted
    with pytest.raises(ValueError, match="combination 'mean': expected one of sum, fisher, by_kind"):
        fusion_from_json({**written, "combination": "mean"})


def test_by_kind_each_kind_is_one_voice_however_many_branches_it_has() -> None:
    """Three structural branches see the same and a logical one sees as much; a weighted sum hears the three only."""
    random = np.random.default_rng(0)
    same, other = random.normal(size=(2, 400))
    columns = {"a": same, "b": same, "c": same, "histogram": other}
    weights = dict.fromkeys(columns, 1.0)
    branches = {name: [name] for name in columns}
    images = {name: np.array([3.0, 0.0]) for name in "abc"} | {"histogram": np.array([0.0, 3.0])}
    flat = fit_fusion(branches, weights, columns, combination="fisher").of_fitted(images)[0]
    by_kind = fit_fusion(branches, weights, columns, combination="by_kind", areas_weight=1.0)
    structural, logical = by_kind.of_fitted(images)[0]
    assert flat[0] > 2 * flat[1]
    assert structural == pytest.approx(logical, rel=0.15)
    assert {kind.name: kind.branches for kind in by_kind.kinds} == {
        "logical": ("histogram",), "structural": ("a", "b", "c"),
    }  # fmt: skip
    assert fusion_from_json(json.loads(json.dumps(by_kind.to_json()))) == by_kind


def test_by_kind_the_weighted_harmonic_mean_of_p_by_hand() -> None:
    """p of the logical kind is 1/2 and 1/20, of the structural one 1/20 and 1/2: mean of 1/p with weights 0.1 and 1."""
    z = np.array([0.0, 1.6448536]) / TRIMMED_STD  # of what share of a normal distribution lies above: 1/2, 1/20
    unit = TrimmedZ(0.0, 1.0)
    kinds = (Kind("logical", ("a",), unit, (0.1,)), Kind("structural", ("b",), unit, (1.0,)))
    branches = tuple(Branch(name, (Column(name, unit, 1.0),), unit) for name in "ab")
    terms = evidence(z)
    again = tuple(replace(kind, scale=TrimmedZ(*line(terms, z))) for kind in kinds)  # so that evidence of evidence is p
    fusion = Fusion(branches, "by_kind", {}, None, again)
    score = fusion.of_fitted({"a": z, "b": z[::-1]})[0]
    np.testing.assert_allclose(np.exp(score), [0.1 * 2 + 20, 0.1 * 20 + 2], rtol=1e-6)


def line(terms: np.ndarray, z: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the scale that maps two terms to two z."""
    std = (terms[1] - terms[0]) / (z[1] - z[0])
    return float(terms[0] - std * z[0]), float(std)


def test_by_kind_areas_alone_count_a_tenth_and_numbers_of_parts_in_full() -> None:
    """Excluded by its weight, `parts` has no say in the weight of its kind either."""
    columns = dict.fromkeys(("histogram", "parts", "fine"), np.linspace(-1.0, 1.0, 41))
    branches, unit = {name: [name] for name in columns}, dict.fromkeys(columns, 1.0)
    for parts, weight in ((1.0, 1.0), (0.0, 0.1)):
        weights = {**unit, "parts": parts}
        fusion = fit_fusion(branches, unit, columns, branch_weights=weights, combination="by_kind")
        logical, structural = fusion.kinds
        assert (logical.weight(fusion.used), structural.weight(fusion.used)) == (weight, 1.0)
    logical, _ = kinds_of(columns)
    each = [Branch(name, (Column(name, logical.scale, 1.0),), logical.scale) for name in logical.branches]
    jackknife = replace(each[1], weight=np.array([[0.5], [0.0]]))  # excluded without the second image
    np.testing.assert_array_equal(logical.weight([each[0], jackknife]), [[1.0], [0.1]])
    set_by_profile = fit_fusion(
        branches, unit, columns, branch_weights=weights, combination="by_kind", areas_weight=0.3
    )
    assert set_by_profile.kinds[0].weight(set_by_profile.used) == 0.3


def test_by_kind_one_kind_in_use_orders_images_as_fisher_does() -> None:
    columns = {name: np.random.default_rng(number).normal(size=30) for number, name in enumerate(["a", "b", "parts"])}
    branches, weights = {name: [name] for name in columns}, {"a": 1.0, "b": 0.4, "parts": 0.0}
    scores = [
        fit_fusion(branches, weights, columns, combination=one).of_fitted(columns)[0] for one in ("fisher", "by_kind")
    ]
    np.testing.assert_array_equal(np.argsort(scores[0]), np.argsort(scores[1]))


def test_a_validation_image_that_another_library_rounds_otherwise_keeps_its_score() -> None:
    """By the size of its column: 5e-5 of 4 are 2e-4, of a small score, too."""
    normal = {"a": np.array([0.01, 1.0, 2.0, 3.0, 4.0])}
    fusion = RuntimeFusion.from_json(fit_fusion({"a": ["a"]}, {"a": 1.0}, normal).to_json())
    own = fusion.of_fitted(normal)[0]
    scores, _ = fusion({"a": np.array([0.01 + 1.9e-4, 4.0 - 1.9e-4, 0.01 + 2.1e-4])})
    assert scores[:2].tolist() == [own[0], own[4]]
    assert scores[2] != own[0]
