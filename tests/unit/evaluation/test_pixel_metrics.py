"""Pixel metrics: a case by hand, brute force, scikit-learn, and what is excluded."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from stages.core.run.errors import UserError
from stages.evaluation.intervals import Resampling
from stages.evaluation.names import Undefined
from stages.evaluation.pixel_counts import LEVELS, PixelCounts, area_up_to, aupro, levels, pixel_auroc
from stages.evaluation.pixel_metrics import PixelLimits, pixel_metrics, read_mask
from tests.table import violations
from tests.unit.evaluation.case import mean_up_to

# Regions {0.9, 0.3} and {0.5}; normal pixels 0.6, 0.2, 0.1, 0.05.
ROW = np.array([[0.9, 0.3, 0.6, 0.5, 0.2, 0.1, 0.05]], dtype=np.float32)
ROW_MASK = np.array([[1, 1, 0, 1, 0, 0, 0]], dtype=bool)


def counted(*images: tuple[np.ndarray, np.ndarray]) -> PixelCounts:
    counts = PixelCounts.empty()
    for values, mask in images:
        counts.count(np.asarray(values, dtype=np.float32), mask)
    return counts


def brute_force_aupro(images: list[tuple[np.ndarray, np.ndarray]], limit: float) -> float:
    """Every threshold, every region, nothing shared with our code."""
    regions = [values[labels == number]
               for values, mask in images
               for labels, count in [label(mask, np.ones((3, 3)))]
               for number in range(1, count + 1)]  # fmt: skip
    normal = np.concatenate([values[~mask] for values, mask in images])
    curve = [(0.0, 0.0)]
    for threshold in sorted({value for values, _ in images for value in values.ravel().tolist()}, reverse=True):
        overlap = np.mean([np.mean(region >= threshold) for region in regions])
        curve.append((float(np.mean(normal >= threshold)), float(overlap)))
    return mean_up_to(curve, limit)


def test_aupro_by_hand() -> None:
    def check(limit: float, expected: float) -> None:
        assert aupro(counted((ROW, ROW_MASK)), limit=limit) == pytest.approx(expected, abs=1e-12)

    rows = [(0.5, 0.625), (0.3, 0.375), (0.25, 0.25), (1.0, 0.8125)]
    assert violations(check, rows) == []


def test_aupro_equals_brute_force() -> None:
    def check(seed: int, limit: float) -> None:
        generator = np.random.default_rng(seed)
        images = []
        for _ in range(4):
            mask = generator.random((9, 11)) < 0.2
            values = (generator.normal(size=(9, 11)) + mask).astype(np.float16).astype(np.float32)
            images.append((values.round(1) if seed % 2 else values, mask))  # odd seeds: many ties
        assert aupro(counted(*images), limit=limit) == pytest.approx(brute_force_aupro(images, limit), abs=1e-9)
        labels = np.concatenate([mask.ravel() for _, mask in images])
        scores = np.concatenate([values.ravel() for values, _ in images])
        assert pixel_auroc(counted(*images)) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)

    assert violations(check, product(range(5), [0.05, 0.3, 1.0])) == []


def test_interpolated_values_cost_no_visible_precision() -> None:
    generator = np.random.default_rng(0)
    mask = np.zeros((64, 64), dtype=bool)
    mask[10:20, 30:50] = True
    values = (generator.normal(size=(64, 64)) + mask + 5).astype(np.float32)  # not float16 numbers
    counts = counted((values, mask))
    assert pixel_auroc(counts) == pytest.approx(roc_auc_score(mask.ravel(), values.ravel()), abs=1e-5)
    assert aupro(counts, limit=0.3) == pytest.approx(brute_force_aupro([(values, mask)], 0.3), abs=1e-4)


def test_touching_corners_are_one_region() -> None:
    assert counted((np.zeros((2, 2)), np.eye(2, dtype=bool))).regions == 1


def test_levels_keep_the_order_of_all_float16_numbers() -> None:
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = np.unique(numbers[np.isfinite(numbers)])  # sorted, one zero
    ranks = levels(numbers.astype(np.float32))
    assert (np.diff(ranks) > 0).all()
    assert 0 <= ranks.min() <= ranks.max() < LEVELS
    assert levels(np.array([-0.0], dtype=np.float32)) == levels(np.array([0.0], dtype=np.float32))


def test_a_flat_map_is_chance() -> None:
    counts = counted((np.ones((1, 7)), ROW_MASK))
    assert pixel_auroc(counts) == 0.5
    assert aupro(counts, limit=0.3) == pytest.approx(0.15)


def test_a_vertical_step_at_the_limit() -> None:
    x, y = np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert area_up_to(x, y, 0.5) == 0.0
    assert area_up_to(x, y, 0.75) == pytest.approx(0.25)


def test_no_pixels_give_a_reason() -> None:
    assert pixel_auroc(counted((ROW, np.zeros_like(ROW_MASK)))) == Undefined(
        "no anomalous test image of this group has a mask"
    )
    assert aupro(counted((ROW, np.ones_like(ROW_MASK))), limit=0.3) == Undefined("no normal pixel in the test images")


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shape"):
        PixelCounts.empty().count(np.zeros((2, 2), dtype=np.float32), np.zeros((1, 4), dtype=bool))


def measure(table: pd.DataFrame, maps: dict[str, np.ndarray], folder: Path, limit: float = 0.3) -> dict[str, object]:
    limits, resampling = PixelLimits(limit, (0.05,)), Resampling(20, 0.95, seed=0)
    measured = pixel_metrics(table, {"ours": maps, "blind": {}}, folder, limits=limits, resampling=resampling)
    assert set(measured["blind"].values.values()) == {Undefined("the method makes no anomaly maps")}
    return {".".join(name): value for name, value in measured["ours"].values.items()}


def save(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_masks_of_an_image_are_united(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.array([[7, 0], [0, 0]]))
    save(tmp_path / "b.png", np.array([[[0, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]]))
    assert read_mask(tmp_path, ["a.png", "b.png"], height=2, width=2).tolist() == [[True, True], [False, False]]
    assert not read_mask(tmp_path, [], height=2, width=3).any()


def test_bad_masks_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((2, 3)))
    with pytest.raises(UserError, match=r"a\.png: the mask has 3 x 2 pixels, its image 4 x 4"):
        read_mask(tmp_path, ["a.png"], height=4, width=4)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"b\.png: not a readable mask"):
        read_mask(tmp_path, ["b.png"], height=4, width=4)


def make_table() -> pd.DataFrame:
    rows = [("n", False, "normal", []), ("l", True, "logical", ["l.png"]), ("s", True, "structural", [])]
    table = pd.DataFrame(rows, columns=["image_id", "is_anomalous", "kind", "mask_files"])
    return table.assign(height=2, width=2)


def test_anomalies_without_a_mask_are_excluded(tmp_path: Path) -> None:
    save(tmp_path / "l.png", np.array([[1, 0], [0, 0]]))
    maps = {name: np.array(values, dtype=np.float16) for name, values in
            {"n": [[3, 0], [0, 0]], "l": [[2, 1], [1, 1]], "s": [[9, 9], [9, 9]]}.items()}  # fmt: skip
    measured = measure(make_table(), maps, tmp_path)
    # The defect's 2 lies above six of the seven normal pixels; image s would lower that.
    assert measured["pixel_auroc.all"] == measured["pixel_auroc.logical"] == pytest.approx(6 / 7)
    assert measured["pixel_auroc.structural"] == Undefined("no anomalous test image of this group has a mask")


def test_the_limit_reaches_the_overlap_curve(tmp_path: Path) -> None:
    save(tmp_path / "l.png", np.array([[1, 0], [0, 0]]))
    maps = {name: np.array(values, dtype=np.float16) for name, values in
            {"n": [[3, 3], [0, 0]], "l": [[2, 1], [1, 1]], "s": [[9, 9], [9, 9]]}.items()}  # fmt: skip
    # The only region is found at a false-positive rate of 2 / 7: nothing before, everything after.
    assert measure(make_table(), maps, tmp_path, limit=2 / 7)["aupro.all"] == pytest.approx(0.0)
    assert measure(make_table(), maps, tmp_path, limit=4 / 7)["aupro.all"] == pytest.approx(0.5)


def test_a_method_without_maps_has_no_pixel_metrics(tmp_path: Path) -> None:
    measured = measure(make_table(), {}, tmp_path)
    assert measured["au_spro.at_0.05.all"] == measured["aupro.all"] == Undefined("the method makes no anomaly maps")


def test_methods_together_are_measured_as_each_alone(tmp_path: Path) -> None:
    save(tmp_path / "l.png", np.array([[1, 0], [0, 0]]))
    generator = np.random.default_rng(0)
    several = {method: {name: generator.random((2, 2)).astype(np.float16) for name in "nls"} for method in ("a", "b")}
    limits, resampling = PixelLimits(0.3, (0.05,)), Resampling(20, 0.95, seed=0)
    together = pixel_metrics(make_table(), several, tmp_path, limits=limits, resampling=resampling)
    for method, maps in several.items():
        alone = pixel_metrics(make_table(), {method: maps}, tmp_path, limits=limits, resampling=resampling)
        assert together[method] == alone[method]
    assert together["a"].values != together["b"].values
