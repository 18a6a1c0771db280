"""What must hold for metrics and thresholds whatever the scores are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.core.io.thresholds import conformal_threshold
from stages.core.runtime.calibration import Calibration
from stages.evaluation.image_metrics import auroc
from stages.evaluation.inputs import join_truth
from stages.evaluation.intervals import Resampling
from stages.evaluation.names import Undefined
from stages.evaluation.pixel_counts import PixelCounts, aupro, levels, pixel_auroc
from stages.evaluation.pixel_metrics import PixelMetrics
from stages.evaluation.summary import Summary, summarise
from stages.evaluation.thresholds import fit

FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
SCORES = st.lists(FINITE, min_size=1, max_size=40).map(np.array)
HALVES = st.floats(-6e4, 6e4, width=16)
PIXELS = hnp.arrays(np.float32, (6, 7), elements=HALVES)
MASKS = hnp.arrays(np.bool_, (6, 7))


@given(SCORES, SCORES, st.floats(0.5, 4), st.floats(-10, 10))
def test_auroc_depends_on_the_order_only(normal: np.ndarray, anomalous: np.ndarray, scale: float, shift: float) -> None:
    ranks = {value: float(rank) ** 3 * scale + shift for rank, value in enumerate(np.unique([*normal, *anomalous]))}
    moved = [np.array([ranks[value] for value in scores]) for scores in (normal, anomalous)]
    assert auroc(normal, anomalous) == pytest.approx(auroc(*moved), abs=1e-12)


@given(SCORES, SCORES)
def test_auroc_of_swapped_classes_is_the_complement(normal: np.ndarray, anomalous: np.ndarray) -> None:
    first, second = auroc(normal, anomalous), auroc(anomalous, normal)
    assert not isinstance(first, Undefined) and not isinstance(second, Undefined)
    assert 0 <= first <= 1
    assert first + second == pytest.approx(1.0)


@given(SCORES, st.floats(0.001, 0.999))
def test_false_alarms_on_validation_stay_in_the_budget(normal: np.ndarray, budget: float) -> None:
    threshold = conformal_threshold(normal, budget=budget)
    assert np.mean(normal > threshold.value) <= budget + 1e-9
    assert threshold.value in normal
    enough = len(normal) >= threshold.normals_needed
    assert (threshold.attainable_false_alarm_rate <= budget + 1e-6) == enough


def test_the_budget_holds_on_unseen_normals() -> None:
    generator = np.random.default_rng(0)
    rates = [np.mean(generator.normal(size=200) > conformal_threshold(generator.normal(size=40), budget=0.05).value)
             for _ in range(400)]  # fmt: skip
    assert np.mean(rates) == pytest.approx(2 / 41, abs=0.006)  # four standard errors


@given(SCORES, FINITE, FINITE)
def test_the_displayed_score_never_reverses_an_order(normal: np.ndarray, one: float, other: float) -> None:
    threshold = conformal_threshold(normal, budget=0.05)
    calibration = Calibration(threshold, float(np.median(normal)), 0.0, 1.0)
    low, high = calibration.display(min(one, other)), calibration.display(max(one, other))
    assert 0 <= low <= high <= 1
    assert calibration.display(threshold.value) == 0.5


@settings(deadline=None, max_examples=12)
@given(st.randoms(use_true_random=False), st.lists(FINITE, min_size=12, max_size=12))
def test_the_order_of_images_does_not_matter(random, scores: list[float]) -> None:  # type: ignore[no-untyped-def]
    kinds = ["normal"] * 4 + ["normal"] * 3 + ["logical"] * 2 + ["structural"] * 3
    truth = pd.DataFrame({"image_id": [f"{n}" for n in range(12)], "kind": kinds})
    truth = truth.assign(split=["validation"] * 4 + ["test"] * 8, is_anomalous=truth["kind"] != "normal",
                         defect_type=truth["kind"], mask_files=[[]] * 12)  # fmt: skip
    table = truth[["image_id", "split"]].assign(score=scores, branch=scores)

    def measured(one: pd.DataFrame, other: pd.DataFrame) -> Summary:
        joined = join_truth(one, other)
        fitted = fit(joined, {}, ["branch"], budget=0.2, unsure_confidence=0.9)
        test, resampling = joined[joined["split"] == "test"], Resampling(10, 0.95, seed=0)
        pixel = PixelMetrics({}, {})
        return summarise(test, branches=["branch"], fitted=fitted, pixel=pixel, explained={}, resampling=resampling)

    orders = [random.sample(range(12), 12) for _ in range(2)]
    assert measured(table, truth) == measured(table.iloc[orders[0]], truth.iloc[orders[1]])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(PIXELS, MASKS), min_size=1, max_size=3), st.floats(0.01, 1.0))
def test_pixel_metrics_are_shares_and_ignore_the_order(
    images: list[tuple[np.ndarray, np.ndarray]], limit: float
) -> None:
    counts, backwards = PixelCounts.empty(), PixelCounts.empty()
    for (values, mask), (last_values, last_mask) in zip(images, reversed(images), strict=True):
        counts.count(values, mask)
        backwards.count(last_values, last_mask)
    area, pixels = aupro(counts, limit=limit), pixel_auroc(counts)
    if isinstance(area, Undefined):
        assert pixels == area
        return
    assert 0 <= area <= 1 + 1e-12
    assert area == pytest.approx(aupro(backwards, limit=limit))
    assert pixels == pixel_auroc(backwards)
    assert counts.region_share.sum() == pytest.approx(counts.regions)


@given(hnp.arrays(np.float32, 20, elements=st.floats(-65504, 65504, width=32)))
def test_levels_never_reverse_an_order(values: np.ndarray) -> None:
    assert (np.diff(levels(np.sort(values))) >= 0).all()
