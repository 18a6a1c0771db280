"""Saturated PRO: cases by hand, brute force, and the files it reads."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from stages.core.run.errors import UserError
from stages.evaluation.names import Undefined
from stages.evaluation.pixel_counts import (
    Defect,
    PixelCounts,
    Region,
    annotated_regions,
    au_spro,
    aupro,
    levels,
    read_defects,
    saturating_shares,
)
from tests.table import violations
from tests.unit.evaluation.case import mean_up_to

LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)
MISSING = Defect(defect_name="missing", pixel_value=255, saturation_threshold=2, relative_saturation=False)
SCRATCH = Defect(defect_name="scratch", pixel_value=7, saturation_threshold=1.0, relative_saturation=True)
DEFECTS = {255: MISSING, 7: SCRATCH}

Image = tuple[np.ndarray, list[np.ndarray]]  # map, and one mask with pixel values a defect


def counted(*images: Image, defects: dict[int, Defect] = DEFECTS) -> PixelCounts:
    counts = PixelCounts.empty()
    for values, masks in images:
        union = np.any([mask > 0 for mask in masks], axis=0) if masks else np.zeros(values.shape, dtype=bool)
        regions = annotated_regions(masks, defects, where="x")
        counts.count(values.astype(np.float32), union, regions)
    return counts


def brute_force(images: list[Image], defects: dict[int, Defect], limit: float) -> float:
    """Every threshold, every region, nothing shared with our code."""
    regions, normal = [], []
    for values, masks in images:
        union = np.zeros(values.shape, dtype=bool)
        for mask in masks:
            union |= mask > 0
            for value in set(mask[mask > 0].tolist()):
                area = int((mask == value).sum())
                defect = defects[value]
                wanted = defect.saturation_threshold * (area if defect.relative_saturation else 1)
                regions.append((values[mask == value], min(max(int(wanted), 1), area)))
        normal.append(values[~union])
    outside = np.concatenate(normal)
    curve = [(0.0, 0.0)]
    for threshold in sorted({v for values, _ in images for v in values.ravel().tolist()}, reverse=True):
        found = np.mean([min((pixels >= threshold).sum() / saturation, 1.0) for pixels, saturation in regions])
        curve.append((float(np.mean(outside >= threshold)), float(found)))
    return mean_up_to(curve, limit)


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_by_hand() -> None:
    # Region of 4 pixels, of which 2 have to be found; its scores 9, 8, 2, 1. Normal pixels 7, 6, 5, 3.
    values, mask = row(9, 8, 7, 6, 5, 3, 2, 1), row(255, 255, 0, 0, 0, 0, 255, 255).astype(np.uint8)
    counts = counted((values, [mask]))
    # Found at once: sPRO is 1 before the first false positive. PRO stays at 1/2 until the last normal pixel is called.
    assert [au_spro(counts, limit=limit) for limit in LIMITS] == pytest.approx([1.0] * 5)
    assert aupro(counts, limit=1.0) == pytest.approx(0.5)


def test_half_found_by_hand() -> None:
    # Saturation 2, scores 9 and 4, 2; normal pixels 7, 6, 5, 3: sPRO 1/2 up to a rate of 3/4, then 1.
    values, mask = row(9, 7, 6, 5, 4, 3, 2), row(255, 0, 0, 0, 255, 0, 255).astype(np.uint8)
    counts = counted((values, [mask]))
    assert au_spro(counts, limit=0.3) == pytest.approx(0.5)
    assert au_spro(counts, limit=1.0) == pytest.approx(0.5 * 0.75 + 1.0 * 0.25)


def test_two_regions_of_one_value_are_two() -> None:
    # One file a defect, both of value 255: the first is found, the second is not before the normal pixel at 5.
    values = row(9, 8, 5, 1, 1)
    first, second = row(255, 255, 0, 0, 0).astype(np.uint8), row(0, 0, 0, 255, 255).astype(np.uint8)
    assert counted((values, [first, second])).annotated == 2
    assert au_spro(counted((values, [first, second])), limit=0.5) == pytest.approx(0.5)
    assert au_spro(counted((values, [first | second])), limit=0.5) == pytest.approx(1.0)  # merged: 2 pixels are enough


def test_two_values_in_one_file_are_two_regions() -> None:
    regions = annotated_regions([row(255, 255, 255, 7, 7, 7).astype(np.uint8)], DEFECTS, where="x")
    assert [(int(region.mask.sum()), region.saturation) for region in regions] == [(3, 3.0), (3, 2.0)]


def test_equal_to_brute_force() -> None:
    def check(seed: int, limit: float) -> None:
        generator = np.random.default_rng(seed)
        relative = Defect(defect_name="r", pixel_value=9, saturation_threshold=0.37, relative_saturation=True)
        defects = {**DEFECTS, 9: relative}
        images: list[Image] = []
        for _ in range(4):
            masks = [np.where(generator.random((12, 13)) < 0.08, value, 0).astype(np.uint8)
                     for value in generator.choice([255, 7, 9], size=generator.integers(0, 4))]  # fmt: skip
            values = generator.normal(size=(12, 13)) + sum((mask > 0) * 1.0 for mask in masks)
            values = values.astype(np.float16).astype(np.float32)
            images.append((values.round(1) if seed % 2 else values, masks))  # odd seeds: many ties
        measured = au_spro(counted(*images, defects=defects), limit=limit)
        assert measured == pytest.approx(brute_force(images, defects, limit), abs=1e-9)

    assert violations(check, product(range(6), LIMITS)) == []


def test_full_saturation_is_pro_of_the_annotated_regions() -> None:
    generator = np.random.default_rng(0)
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[3:8, 4:9] = 7
    counts = counted((generator.normal(size=(20, 20)).astype(np.float16), [mask]))
    assert au_spro(counts, limit=0.3) == pytest.approx(aupro(counts, limit=0.3), abs=1e-12)


def test_what_each_pixel_adds() -> None:
    def check(saturation: float, expected: list[float]) -> None:
        ranks = levels(np.array([1.0, 3.0, 2.0], dtype=np.float32))
        counted_levels, shares = saturating_shares(ranks, saturation)
        assert counted_levels.tolist() == sorted(ranks.tolist(), reverse=True)[: len(shares)]
        assert shares.tolist() == pytest.approx([value for value in expected if value])

    cases = [(1.0, [1, 0, 0]), (2.5, [0.4, 0.4, 0.2]), (3.0, [1 / 3] * 3)]
    assert violations(check, cases) == []


def test_saturation_in_whole_pixels() -> None:
    def check(threshold: float, relative: bool, area: int, expected: int) -> None:
        defect = Defect(defect_name="x", pixel_value=1, saturation_threshold=threshold, relative_saturation=relative)
        assert defect.saturation(area) == expected

    cases = [(333, False, 500, 333), (333, False, 100, 100), (0.5, True, 7, 3), (1.0, True, 7, 7), (0.01, True, 7, 1)]
    assert violations(check, cases) == []


def test_without_annotated_regions_there_is_no_value() -> None:
    counts = PixelCounts.empty()
    counts.count(np.ones((2, 2), dtype=np.float32), np.eye(2, dtype=bool))
    assert au_spro(counts, limit=0.05) == Undefined("the source states no saturation of its defects")
    assert au_spro(PixelCounts.empty(), limit=0.05) == Undefined("no anomalous test image of this group has a mask")


def test_the_list_of_defects_is_checked(tmp_path: Path) -> None:
    assert read_defects(tmp_path) == {}
    entry = {"defect_name": "a", "pixel_value": 5, "saturation_threshold": 3, "relative_saturation": False}
    path = tmp_path / "defects_config.json"
    path.write_text(json.dumps([entry]))
    assert read_defects(tmp_path)[5].saturation(10) == 3
    for bad in ([entry, entry], [{**entry, "saturation_threshold": 0}], {"a": 1}, [{"pixel_value": 3}]):
        path.write_text(json.dumps(bad))
        with pytest.raises(UserError, match=r"defects_config\.json: "):
            read_defects(tmp_path)
    with pytest.raises(UserError, match="img: the mask has the value 6, which defects_config.json does not name"):
        annotated_regions([np.array([[0, 6]], dtype=np.uint8)], {5: MISSING}, where="img")


def test_a_region_has_a_mask() -> None:
    assert Region(np.ones((1, 2), dtype=bool), 2.0).mask.sum() == 2
