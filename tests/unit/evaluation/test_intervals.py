"""Intervals: by hand, by another formula, and by how often they hold the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, norm

from stages.evaluation.image_metrics import clopper_pearson, decision_intervals
from stages.evaluation.intervals import (
    ImageCurves,
    Interval,
    Resampling,
    areas_up_to,
    auroc_interval,
    pixel_interval,
    thresholds_of,
)
from stages.evaluation.pixel_counts import PixelCounts, area_up_to, aupro, pixel_auroc
from tests.table import violations

RESAMPLING = Resampling(400, 0.95, seed=3)


def slow_auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    return float(np.mean(anomalous[:, None] > normal) + np.mean(anomalous[:, None] == normal) / 2)


def test_the_bootstrap_equals_drawing_scores() -> None:
    generator = np.random.default_rng(0)
    normal, anomalous = generator.normal(size=12).round(1), generator.normal(1, size=9).round(1)
    drawn = [slow_auroc(np.repeat(normal, a), np.repeat(anomalous, b))
             for draw in RESAMPLING.draws(12, 9) for a, b in zip(*draw, strict=True)]  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert len(drawn) == 400
    found = auroc_interval(normal, anomalous, RESAMPLING)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_draws_keep_the_classes_and_the_seed() -> None:
    first, second = ([*RESAMPLING.draws(5, 0, 7)] for _ in range(2))
    assert all(np.array_equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
    assert all((draw[0].sum(axis=1) == 5).all() and (draw[2].sum(axis=1) == 7).all() for draw in first)
    other = next(iter(Resampling(400, 0.95, seed=4).draws(5, 0, 7)))
    assert not np.array_equal(other[0], first[0][0])


def test_perfect_scores_have_no_width() -> None:
    assert auroc_interval(np.array([1.0, 2.0]), np.array([3.0]), RESAMPLING) == Interval(1.0, 1.0)
    assert auroc_interval(np.ones(4), np.ones(3), RESAMPLING) == Interval(0.5, 0.5)


def test_the_bootstrap_holds_the_truth_about_as_often_as_it_says() -> None:
    generator, truth, hits = np.random.default_rng(1), float(norm.cdf(1 / np.sqrt(2))), 0
    for _ in range(150):
        found = auroc_interval(generator.normal(size=60), generator.normal(1, size=60), Resampling(200, 0.95, seed=0))
        hits += found.low <= truth <= found.high
    assert hits / 150 == pytest.approx(0.95, abs=0.06)


def test_clopper_pearson_is_the_beta_quantile() -> None:
    def check(part: int, whole: int) -> None:
        found = clopper_pearson(part, whole, confidence=0.95)
        assert found.low == pytest.approx(beta.ppf(0.025, part, whole - part + 1) if part else 0.0, abs=1e-9)
        assert found.high == pytest.approx(beta.ppf(0.975, part + 1, whole - part) if part < whole else 1.0, abs=1e-9)

    rows = [(0, 60), (3, 60), (60, 60), (1, 1)]
    assert violations(check, rows) == []


def test_rates_of_classes_that_are_not_there_have_no_interval() -> None:
    test = pd.DataFrame({"score": [1.0, 2.0], "kind": "normal", "is_anomalous": False})
    assert set(decision_intervals(test, 1.5, confidence=0.95)) == {("false_alarm_rate",)}


def make_images(count: int, *, defects: bool, seed: int) -> list[tuple[np.ndarray, np.ndarray, list[object]]]:
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        mask = np.zeros((16, 16), dtype=bool)
        if defects:
            mask[4:9, 5:11] = True
        level = generator.normal(scale=0.4)  # images differ more than their pixels do
        images.append(((generator.normal(size=(16, 16)) + mask + level).astype(np.float32), mask, []))
    return images


def make_curves(counts: PixelCounts, images: list[tuple[np.ndarray, np.ndarray, list[object]]]) -> ImageCurves:
    thresholds = thresholds_of(counts)
    return thresholds.curves([thresholds.count(values, mask, []) for values, mask, _ in images])


def test_pixel_intervals_hold_the_value_and_shrink_with_the_images() -> None:
    widths = []
    for count in (8, 128):
        strata = [make_images(count, defects=False, seed=1), make_images(count, defects=True, seed=2)]
        counts = PixelCounts.empty()
        for values, mask, _ in strata[0] + strata[1]:
            counts.count(values, mask)
        curves = [make_curves(counts, images) for images in strata]
        for metric, table, number, limit in ((pixel_auroc(counts), "defect", None, 1.0),
                                             (aupro(counts, limit=0.3), "overlap", "regions", 0.3)):  # fmt: skip
            assert isinstance(metric, float)
            found = pixel_interval(curves, metric, table=table, number=number, limit=limit, resampling=RESAMPLING)
            assert found.low < metric < found.high
            widths.append(found.high - found.low)
    assert widths[2] < 0.5 * widths[0]
    assert widths[3] < 0.5 * widths[1]


def test_the_thresholds_reach_from_the_highest_pixel_to_the_lowest() -> None:
    images = make_images(3, defects=True, seed=0)
    counts = PixelCounts.empty()
    for values, mask, _ in images:
        counts.count(values, mask)
    curves = make_curves(counts, images)
    assert curves.normal.sum(axis=0)[-1] == counts.normal.sum()
    assert curves.overlap[:, -1].tolist() == pytest.approx([1.0] * 3)
    assert (np.diff(curves.defect, axis=1) >= 0).all()
    assert len(thresholds_of(PixelCounts.empty()).levels) == 1


def test_areas_of_many_curves_are_those_of_each() -> None:
    def check(limit: float) -> None:
        generator = np.random.default_rng(0)
        x, y = (np.sort(generator.random((5, 9)).round(1), axis=1) for _ in range(2))
        x[:, -1] = 1.0
        expected = [area_up_to(np.append(0.0, a), np.append(0.0, b), limit) for a, b in zip(x, y, strict=True)]
        assert areas_up_to(x, y, limit).tolist() == pytest.approx(expected)

    assert violations(check, zip([0.05, 0.5, 1.0])) == []
