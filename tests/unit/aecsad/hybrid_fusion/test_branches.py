"""Weights of branches: by hand, by their own evidence, and never for what may be chance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.hybrid_fusion.branches import (
    BranchWeight,
    weigh_branch,
    weigh_branches,
    weigh_parts,
    weigh_together,
    weights_without_each,
)
from stages.aecsad.model.conformal import AUROC

Scores = Callable[..., pd.DataFrame]


def test_a_weight_is_twice_the_auroc_less_one() -> None:
    normal, synthetic = np.arange(20.0), np.arange(20.0) + 15.5  # of 400 pairs, 4 + 3 + 2 + 1 are the wrong way round
    found = weigh_branch(normal, synthetic, [], chance=0.01)
    assert found.synthetic_auroc == pytest.approx(390 / 400)
    assert found.weight == pytest.approx(2 * 390 / 400 - 1)


def test_a_branch_that_may_be_right_by_chance_is_excluded() -> None:
    normal, synthetic = np.arange(8.0), np.arange(8.0) + 0.5
    found = weigh_branch(normal, synthetic, [], chance=0.01)
    assert found.synthetic_auroc == pytest.approx(36 / 64)
    assert found.weight == 0
    assert found.reason.startswith("excluded: ")
    assert "chance" in found.reason


def test_edits_that_a_branch_sees_count_when_they_are_more() -> None:
    normal, synthetic = np.arange(8.0), np.arange(8.0)
    assert weigh_branch(normal, synthetic, [0.8, 0.9], chance=0.01).weight == pytest.approx(0.8)


def test_a_constant_branch_is_excluded() -> None:
    for count in (0, 5):
        assert weigh_branch(np.ones(count), np.ones(count), [], chance=0.01).weight == 0


def test_random_scores_rarely_count() -> None:
    random = np.random.default_rng(0)
    found = [weigh_branch(random.normal(size=40), random.normal(size=40), [], chance=0.01) for _ in range(300)]
    assert sum(one.weight > 0 for one in found) <= 9  # expected 3


def test_every_branch_is_weighed_by_its_own_evidence(make_scores: Scores, no_histogram: dict[str, Any]) -> None:
    histogram = {
        "weights": {"histogram_1x1": 0.9, "histogram_2x2": 0.0},
        "columns": {"histogram_1x1": {"edit_auroc": 0.95}, "histogram_2x2": {"edit_auroc": 0.55}},
    }
    weights = weigh_branches(make_scores(), histogram, chance=0.01)
    assert weights["histogram"].weight == pytest.approx(0.9)  # its edits, not the defects that it cannot see
    assert weights["student_teacher"].weight > weights["neighbours"].weight > 0.05
    assert weigh_branches(make_scores(), no_histogram, chance=0.01)["histogram"].weight == 0


def test_what_the_histogram_stage_excluded_has_no_weight_for_synthetic_defects_either() -> None:
    normal, synthetic = np.arange(20.0), np.arange(20.0) + 99
    judged = {"weight": 0.7, "edit_auroc": 0.8, "reason": "seen"}
    assert weigh_parts(normal, normal, judged, chance=0.01).weight == pytest.approx(0.6)
    assert weigh_parts(normal, synthetic, judged, chance=0.01).weight == 1.0
    excluded = weigh_parts(normal, synthetic, {**judged, "weight": 0.0, "reason": "excluded: no"}, chance=0.01)
    assert (excluded.weight, excluded.edit_auroc, excluded.reason) == (0.0, 0.8, "excluded: no")


def test_numbers_of_parts_are_judged_without_each_image(make_scores: Scores, no_histogram: dict[str, Any]) -> None:
    scores = make_scores(20)
    scores["parts"] = np.random.default_rng(1).normal(size=len(scores))
    names = scores["image_id"][:20].to_list()
    table = pd.DataFrame({name: 0.0 for name in no_histogram["weights"]}, index=names)
    table = table.assign(**{f"{name}{AUROC}": 0.5 for name in no_histogram["weights"]})
    table["parts"], table[f"parts{AUROC}"] = 0.7, np.linspace(0.8, 0.9, 20)
    table.loc["003", "parts"] = 0.0
    choice = {**no_histogram, "parts": {"weight": 0.7, "edit_auroc": 0.85, "reason": "seen"}}
    assert weigh_branches(scores, choice, chance=0.01)["parts"].weight == pytest.approx(0.7)
    found = weights_without_each(scores, choice, table, chance=0.01)
    assert found is not None
    expected = 2 * np.linspace(0.8, 0.9, 20) - 1
    expected[3] = 0.0
    np.testing.assert_allclose(found.branches["parts"], expected)


def test_with_too_few_images_to_judge_all_branches_count(make_scores: Scores, no_histogram: dict[str, Any]) -> None:
    weights = weigh_branches(make_scores(6, seen=0.0).drop(columns="noise"), no_histogram, chance=0.01)
    assert {name: one.weight for name, one in weights.items()} == {
        "histogram": 0, "student_teacher": 1, "neighbours": 1,
    }  # fmt: skip
    assert "none is better than chance" in weights["neighbours"].reason


def test_numbers_of_parts_that_are_no_law_do_not_count_where_no_branch_stands_out(
    make_scores: Scores, no_histogram: dict[str, Any]
) -> None:
    scores = make_scores(6, seen=0.0).drop(columns="noise").assign(parts=lambda table: table["neighbours"])
    choice = {**no_histogram, "parts": {"weight": 0.0, "edit_auroc": 0.7, "reason": "excluded: no law"}}
    weights = weigh_branches(scores, choice, chance=0.01)
    assert (weights["neighbours"].weight, weights["parts"].weight) == (1.0, 0.0)
    assert weights["parts"].reason == "excluded: no law"


def test_by_choice_all_branches_count_the_same_but_constant_ones(
    make_scores: Scores, no_histogram: dict[str, Any]
) -> None:
    scores = make_scores().assign(neighbours=1.0)
    weights = weigh_branches(scores, no_histogram, chance=0.01, weighting="equal")
    assert {name: one.weight for name, one in weights.items()} == {
        "histogram": 0, "student_teacher": 1, "noise": 1, "neighbours": 0,
    }  # fmt: skip
    assert "counts as all, by the profile (" in weights["noise"].reason
    table = pd.DataFrame(index=scores["image_id"][scores["split"] == "validation"])
    for name in no_histogram["weights"]:
        table = table.assign(**{name: 0.0, f"{name}_edit_auroc": 0.5})
    without = weights_without_each(scores, no_histogram, table, chance=0.01, weighting="equal")
    assert without is not None
    assert set(without.branches["noise"]) == {1.0}
    assert set(without.branches["neighbours"]) == {0.0}


def test_a_test_that_few_images_cannot_pass_excludes_no_branch() -> None:
    """Perfect order of three and three images has p = 1/20."""
    few = weigh_branch(np.arange(3.0), np.arange(3.0) + 9, [], chance=0.01)
    assert few.weight == 1
    assert few.reason.endswith("3 and 3 images are too few to tell that from chance")
    blind = weigh_branch(np.arange(3.0), np.arange(3.0) - 1, [], chance=0.01)
    assert (blind.weight, blind.constant) == (0, False)
    for count, weight in ((4, 0.5), (5, 0.0)):  # 1/70 and 1/252; separated to 75 %, which is chance
        normal, synthetic = np.arange(float(count)), np.full(count, 0.75 * count - 0.5)
        assert weigh_branch(normal, synthetic, [], chance=0.01).weight == pytest.approx(weight)


def test_a_weight_as_json_keeps_its_fields_in_order() -> None:
    found = weigh_branch(np.arange(3.0), np.arange(3.0) + 9, [], chance=0.1).as_json()
    assert list(found) == ["weight", "synthetic_auroc", "edit_auroc", "reason", "constant"]
    assert (found["weight"], found["edit_auroc"], found["constant"]) == (1.0, None, False)


def test_weights_without_an_image_do_not_know_it_or_its_copy(make_scores: Scores, no_histogram: dict[str, Any]) -> None:
    scores = make_scores(20)
    names = scores["image_id"][:20].to_list()
    table = pd.DataFrame({name: 0.0 for name in no_histogram["weights"]}, index=names)
    table = table.assign(**{f"{name}{AUROC}": 0.5 for name in no_histogram["weights"]})
    found = weights_without_each(scores, no_histogram, table, chance=0.01)
    assert found is not None
    kept = scores[~scores["image_id"].isin(["007", "007#synthetic"])]
    expected = {name: one.weight for name, one in weigh_branches(kept, no_histogram, chance=0.01).items()}
    assert {name: values[7] for name, values in found.branches.items()} == expected
    changed = scores.assign(neighbours=scores["neighbours"] + 99.0 * (scores["image_id"].str[:3] == "007"))
    again = weights_without_each(changed, no_histogram, table, chance=0.01)
    assert again is not None
    same = [again.branches["neighbours"][row] == found.branches["neighbours"][row] for row in range(20)]
    assert same[7] and not any(same[:7] + same[8:])


def test_a_single_validation_image_chooses_no_weight(make_scores: Scores, no_histogram: dict[str, Any]) -> None:
    scores = make_scores(2)
    scores = scores[~scores["image_id"].str.startswith("001")]
    table = pd.DataFrame({"histogram_1x1": [1.0], "histogram_2x2": [1.0]}, index=["000"])
    found = weights_without_each(scores, no_histogram, table, chance=0.01)
    assert found is not None
    assert found.branches["neighbours"] == (1.0,)
    assert weights_without_each(scores, no_histogram, None, chance=0.01) is None


def test_images_held_out_in_turns_choose_no_weight(make_scores: Scores, no_histogram: dict[str, Any]) -> None:
    """Theirs are all weights as they are, in the order of the scores; with one validation image its own are equal."""
    scores = make_scores(20)
    turned = scores[scores["split"] == "test"][:3].assign(image_id=["x", "y", "z"], split="rotated", neighbours=99.0)
    scores = pd.concat([turned, scores], ignore_index=True)
    table = pd.DataFrame(0.0, index=scores["image_id"][scores["split"].isin(["rotated", "validation"])], columns=[
        *no_histogram["weights"], *(f"{name}{AUROC}" for name in no_histogram["weights"])])  # fmt: skip
    found = weights_without_each(scores, no_histogram, table, chance=0.01)
    assert found is not None
    expected = {name: one.weight for name, one in weigh_branches(scores, no_histogram, chance=0.01).items()}
    for name, values in found.branches.items():
        assert len(values) == 23
        assert values[:3] == (expected[name],) * 3
        assert len(found.columns["histogram_1x1"]) == len(table)
    single = scores[scores["split"].isin(["rotated", "test"]) | scores["image_id"].str.startswith("000")]
    found = weights_without_each(single, no_histogram, table, chance=0.01)
    assert found is not None
    assert [len(values) for values in found.branches.values()] == [4] * len(found.branches)
    assert {values[3] for values in found.branches.values()} == {1.0}


def alone(**weights: float) -> dict[str, BranchWeight]:
    return {name: BranchWeight(weight, (1 + weight) / 2, None, "seen") for name, weight in weights.items()}


def test_independent_branches_count_by_how_far_they_see_and_agreeing_ones_less() -> None:
    """Of AUROCs 0.92135 and 0.76025, anomalies lie 2 and 1 deviations above normal images: weights 1 and 1 / 2²."""
    far, near = np.array([1.0, -1.0] * 500), np.array([1.0, 1.0, -1.0, -1.0] * 250)
    found = weigh_together(alone(a=0.8427, b=0.5205), {"a": far, "b": near})
    assert found["a"].weight == pytest.approx(0.8427)
    assert found["b"].weight == pytest.approx(0.8427 / 4, abs=1e-3)
    assert found["b"].reason == "seen; 0.52 by itself"
    half = np.where(np.arange(1000) < 750, far, -far)  # correlation 0.5, drawn to 0.495: 1 - 2 r against 2 - r
    found = weigh_together(alone(a=0.8427, b=0.5205), {"a": far, "b": half})
    assert found["b"].weight == pytest.approx(0.8427 * ((1 - 2 * 0.495) / (2 - 0.495)) ** 2, abs=1e-3)
    assert weigh_together(alone(a=0.8427, b=0.5205), {"a": far, "b": far})["b"].weight == 0.0


def test_the_other_branches_are_weighed_as_without_one_that_adds_nothing() -> None:
    random = np.random.default_rng(0)
    common, own = random.normal(size=500), random.normal(size=(3, 500))
    normal = {name: common + row for name, row in zip("abc", own, strict=True)} | {"c": common}
    found = weigh_together(alone(a=0.8, b=0.7, c=0.1), normal)
    without = weigh_together(alone(a=0.8, b=0.7), normal)
    assert found["c"].weight == 0.0
    assert [found[name].weight for name in "ab"] == pytest.approx([without[name].weight for name in "ab"])


def test_with_few_images_or_constant_ones_correlations_hardly_count() -> None:
    pair = np.array([0.0, 1.0])
    found = weigh_together(alone(a=0.8427, b=0.5205), {"a": pair, "b": pair})
    share = 2 / 12
    assert found["b"].weight == pytest.approx(0.8427 * ((1 - 2 * share) / (2 - share)) ** 2, abs=1e-3)
    found = weigh_together(alone(a=0.8427, b=0.5205), {"a": np.ones(9), "b": np.ones(9)})
    assert found["b"].weight == pytest.approx(0.8427 / 4, abs=1e-3)
    assert weigh_together(alone(a=0.3), {"a": pair}) == alone(a=0.3)
