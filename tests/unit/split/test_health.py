"""Data health: synthetic duplicates, odd images and missing masks are found, and nothing else."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from stages.core.io.truth import health_file
from stages.split.__main__ import main
from stages.split.health import find_duplicates, find_outliers
from stages.split.inspect_files import ImageFacts, inspect_image
from stages.split.near_duplicates import NearDuplicateParams

SIZE = 96
LIMITS = {"hash_distance": 6, "pixel_difference": 3.0}


def draw(seed: int) -> np.ndarray:
    """A smooth random picture."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 200, (6, 6, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + generator.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def write_dataset(root: Path) -> None:
    """40 training and 8 test images, one for validation.

    5 is larger; of test, 40 is nearly train's 2, 42 dark, 43 blurred; 44 has a mask, 45 and 46 have none.
    """
    rows = ["filename,is_anomalous,split,mask_path,kind"]
    for number in range(49):
        image = draw(number)
        if number == 40:
            image = np.clip(draw(2).astype(int) + 1, 0, 255).astype(np.uint8)
        if number == 5:
            image = np.vstack([image, image[-1:]])
        if number == 42:
            image = image // 8
        if number == 43:
            image = cv2.GaussianBlur(image, (0, 0), 4)
        Image.fromarray(image).save(root / f"{number:02}.png")
        split = "train" if number < 40 else "validation" if number == 48 else "test"
        anomalous = number in (44, 45, 46)
        rows.append(f"{number:02}.png,{int(anomalous)},{split},{'m.png' if number == 44 else ''},"
                    f"{'logical' if anomalous else ''}")  # fmt: skip
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[:32, :24] = 255
    Image.fromarray(mask).save(root / "m.png")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_duplicates_odd_images_and_missing_masks_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = {"seed": 0, "split": {"ratios": [70, 15, 15], "rotate_up_to": 0},
                  "categories": {"part": {"source": "csv", "path": "x"}},
              "near_duplicates": LIMITS, "data_health": {"outlier": 6.0, "shown": 20}}  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    Path("dataset").mkdir()
    write_dataset(Path("dataset"))
    main(["--dataset", "dataset", "--category", "part", "--inputs", "inputs", "--truth", "truth", "--counts", "c.json"])
    health = json.loads(health_file(Path("truth")).read_text(encoding="utf-8"))
    assert health["counts"] == {
        "test": {"logical": 3, "normal": 5},
        "train": {"normal": 40},
        "validation": {"normal": 1},
    }
    assert health["sizes"] == {"96 x 96": 48, "96 x 97": 1}
    assert health["duplicates"] == {"exact": 0, "near": 1, "exact_across_splits": 0, "near_across_splits": 1}
    assert [(pair["first"], pair["second"]) for pair in health["named"]["duplicates"]] == [("02", "40")]
    assert {(one["image_id"], one["measure"]) for one in health["named"]["outliers"]} >= {
        ("42", "brightness"), ("43", "sharpness")
    }  # fmt: skip
    assert {one["image_id"] for one in health["named"]["outliers"]} == {"42", "43"}
    assert health["outliers"]["brightness"] >= 1 <= health["outliers"]["sharpness"]
    assert health["named"]["anomalous_without_mask"] == ["45", "46"]
    assert health["masks"] == {"count": 1, "doubtful": 0, "median_marked": 8.33, "largest_marked": 8.33}


def facts_of(folder: Path, image: np.ndarray) -> ImageFacts:
    Image.fromarray(image).save(folder / "image.png")
    return inspect_image(folder / "image.png")


def make_truth(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "split", "sha256"])


def test_pictures_of_equal_layout_but_other_values_are_no_duplicates(tmp_path: Path) -> None:
    image = draw(0)
    brighter = np.clip(image.astype(int) + 40, 0, 255).astype(np.uint8)
    facts = {"a": facts_of(tmp_path, image), "b": facts_of(tmp_path, brighter)}
    truth = make_truth(("a", "train", "1"), ("b", "test", "2"))
    assert (facts["a"].hash.bits == facts["b"].hash.bits).mean() > 0.9
    assert find_duplicates(truth, facts, NearDuplicateParams.model_validate(LIMITS)) == []
    loose = NearDuplicateParams(hash_distance=6, pixel_difference=60.0)
    (found,) = find_duplicates(truth, facts, loose)
    assert found.leaks


def test_equal_files_come_first_within_a_split_or_across_splits(tmp_path: Path) -> None:
    facts = dict.fromkeys("abcd", facts_of(tmp_path, draw(0)))
    truth = make_truth(("a", "train", "1"), ("b", "train", "1"), ("c", "train", "2"), ("d", "test", "2"))
    pairs = find_duplicates(truth, facts, NearDuplicateParams.model_validate(LIMITS))
    found = [(pair.first + pair.second, pair.leaks, pair.exact) for pair in pairs]
    assert found == [
        ("cd", True, True),
        ("ab", False, True),
        ("ac", False, False),
    ]


def test_many_images_are_compared_in_chunks(tmp_path: Path) -> None:
    facts = {f"{n:04d}": facts_of(tmp_path, draw(n % 300)) for n in range(302)}
    truth = make_truth(*((name, "train", name) for name in facts))
    pairs = find_duplicates(truth, facts, NearDuplicateParams.model_validate(LIMITS))
    assert [(pair.first, pair.second) for pair in pairs] == [("0000", "0300"), ("0001", "0301")]
    assert not any(pair.leaks for pair in pairs)


def test_outliers_by_hand() -> None:
    # Median 3, median absolute deviation 1: 20 is 17 / 1.4826 away.
    rows = [(f"{n}", "train") for n in range(5)] + [("t", "test")]
    (found,) = find_outliers(rows, [1, 2, 3, 4, 5, 20], measure="brightness", limit=6.0)
    assert (found.image_id, found.split, found.value) == ("t", "test", 20)
    assert found.deviation == pytest.approx(17 / 1.4826)
    assert find_outliers(rows, [3, 3, 3, 3, 3, 20], measure="brightness", limit=6.0) == []
    assert find_outliers([("t", "test")], [1.0], measure="brightness", limit=6.0) == []


def test_no_images_have_no_pairs() -> None:
    assert find_duplicates(make_truth(), {}, NearDuplicateParams.model_validate(LIMITS)) == []
