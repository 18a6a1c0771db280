"""Data health: synthetic duplicates, odd images and missing masks are found, and nothing else."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stages.data_health.__main__ import main

from stages.core.io.truth import TRUTH_COLUMNS, write_truth
from stages.split.health import find_outliers, find_pairs, look_at

SIZE = 96


def draw(seed: int) -> np.ndarray:
    """A smooth random picture."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 200, (6, 6, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + generator.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def make_case(root: Path) -> list[str]:
    """40 training and 6 test images: 40 copies 1, 41 nearly so 2, 42 dark, 43 blurred, 45 without a mask."""
    (root / "images").mkdir()
    rows = []
    for number in range(46):
        image, file = draw(number), root / "images" / f"{number}.png"
        if number == 40:
            image = draw(1)
        if number == 41:
            image = np.clip(draw(2).astype(int) + 1, 0, 255).astype(np.uint8)
        if number == 42:
            image = image // 8
        if number == 43:
            image = cv2.GaussianBlur(image, (0, 0), 4)
        Image.fromarray(image).save(file)
        split, kind = ("train", "normal") if number < 40 else ("test", "logical" if number >= 44 else "normal")
        digest = f"{1 if number == 40 else number:064d}"
        files = ["m.png"] if number == 44 else []
        rows.append((f"{split}/{number:02d}", file.name, split, file.name, kind != "normal", kind, kind, files, digest,
                     SIZE, SIZE + (number == 5)))  # fmt: skip
    write_truth(root / "truth.parquet", pd.DataFrame(rows, columns=list(TRUTH_COLUMNS)))
    (root / "params.yaml").write_text(
        "data_health: {outlier: 6.0, shown: 20}\nnear_duplicates: {hash_distance: 6, pixel_difference: 3.0}\n"
    )
    return ["--truth", "truth.parquet", "--image-files", "images", "--health", "out/health.json"]


def test_what_is_synthetic_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(make_case(tmp_path))
    health = json.loads((tmp_path / "out/health.json").read_text(encoding="utf-8"))
    assert health["counts"] == {"test": {"logical": 2, "normal": 4}, "train": {"normal": 40}}
    assert health["sizes"] == {"96 x 96": 45, "96 x 97": 1}
    assert health["duplicates"] == {"exact": 1, "near": 1, "exact_across_splits": 1, "near_across_splits": 1}
    assert [(pair["first"], pair["second"], pair["exact"]) for pair in health["named"]["duplicates"]] == [
        ("test/40", "train/01", True), ("test/41", "train/02", False)
    ]  # fmt: skip
    assert {(one["image_id"], one["measure"]) for one in health["named"]["outliers"]} >= {
        ("test/42", "brightness"), ("test/43", "sharpness")
    }  # fmt: skip
    assert {one["image_id"] for one in health["named"]["outliers"]} == {"test/42", "test/43"}
    assert health["named"]["anomalous_without_mask"] == ["test/45"]


def make_truth(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "split", "sha256"])


def test_pictures_of_equal_layout_but_other_values_are_no_duplicates() -> None:
    image = draw(0)
    looks = {"a": look_at(image), "b": look_at(np.clip(image.astype(int) + 40, 0, 255).astype(np.uint8))}
    truth = make_truth(("a", "train", "1"), ("b", "test", "2"))
    assert (looks["a"].likeness.bits == looks["b"].likeness.bits).mean() > 0.9
    assert find_pairs(truth, looks, hash_distance=6, pixel_difference=3.0) == []
    assert find_pairs(truth, looks, hash_distance=6, pixel_difference=60.0) != []


def test_many_images_are_compared_in_chunks() -> None:
    looks = {f"{n:04d}": look_at(draw(n % 300)) for n in range(302)}
    truth = make_truth(*((name, "train", name) for name in looks))
    pairs = find_pairs(truth, looks, hash_distance=6, pixel_difference=3.0)
    assert [(pair.first, pair.second) for pair in pairs] == [("0000", "0300"), ("0001", "0301")]
    assert not any(pair.leaks for pair in pairs)


def test_outliers_by_hand() -> None:
    # Median 3, median absolute deviation 1: 20 lies 17 / 1.4826 away.
    rows = [(f"{n}", "train") for n in range(5)] + [("t", "test")]
    (found,) = find_outliers(rows, [1, 2, 3, 4, 5, 20], measure="brightness", limit=6.0)
    assert (found.image_id, found.split, found.value) == ("t", "test", 20)
    assert found.deviation == pytest.approx(17 / 1.4826)
    assert find_outliers(rows, [3, 3, 3, 3, 3, 20], measure="brightness", limit=6.0) == []
    assert find_outliers([("t", "test")], [1.0], measure="brightness", limit=6.0) == []


def test_no_images_have_no_pairs() -> None:
    assert find_pairs(make_truth(), {}, hash_distance=6, pixel_difference=3.0) == []
