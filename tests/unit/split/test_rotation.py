"""Folds for rotating validation: which training image is held out when, and what the stage writes of it."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.core.io.rotation import FOLD, NEVER, rotations
from stages.core.io.tables import IMAGE_COLUMNS, read_images
from stages.split.near_duplicates import NearDuplicates
from stages.split.readers.records import Record
from stages.split.rotation import assign_folds
from tests.unit.split.case import run_split

ORDER = "ikegjhbfacd"  # of these letters by their place with seed 0, that is by sha256("0 a") and so on


def records_of(train: str, validation: str) -> list[Record]:
    return [
        *(Record(name, "normal", "good", "train") for name in train),
        *(Record(name, "normal", "good", "validation") for name in validation),
        Record("z", "structural", "bad", "validation"),
        Record("y", "normal", "good", "test"),
    ]


def folds_of(train: str, validation: str, *groups: str, up_to: int = 40) -> dict[str, int]:
    records = records_of(train, validation)
    duplicates = NearDuplicates([tuple(group) for group in groups], {one.path: one.path for one in records})
    return dict(assign_folds(records, duplicates, up_to=up_to, seed=0))


def test_training_images_are_dealt_to_four_folds_in_the_order_of_their_content() -> None:
    train = [name for name in ORDER if name not in "jk"]
    dealt = dict(zip(train, [1, 2, 3, 4, 1, 2, 3, 4, 1], strict=True))
    assert folds_of("abcdefghi", "jk") == {**dealt, "j": 0, "k": 0}


def test_near_duplicates_share_a_fold_and_go_first() -> None:
    folds = folds_of("abcdefghi", "jk", "ai", "bd")
    singles = [one for one in ORDER if one in "cefgh"]
    first, second = sorted(("ai", "bd"), key=lambda group: min(map(ORDER.index, group)))
    assert {name: folds[name] for name in first + second} == {**dict.fromkeys(first, 1), **dict.fromkeys(second, 2)}
    # sizes are now 2 2 0 0: the singles fill the emptiest fold, of equal ones the first
    assert [folds[name] for name in singles] == [3, 4, 3, 4, 1]


def test_a_group_larger_than_a_fold_stays_together() -> None:
    folds = folds_of("abcdefghi", "jk", "abcd")
    assert len({folds[name] for name in "abcd"}) == 1


def test_many_near_duplicates_in_validation_never_let_their_training_image_be_held_out() -> None:
    folds = folds_of("abcdefghi", "jkl", "ajkl")  # more of them than a fold has images
    assert [name for name, fold in folds.items() if fold == NEVER] == ["a"]


def test_a_group_of_most_images_is_the_product_and_is_divided() -> None:
    assert folds_of("abcdefghi", "jk", "abcdefghijk") == folds_of("abcdefghi", "jk")


def test_what_is_nearly_a_validation_image_is_never_held_out() -> None:
    folds = folds_of("abcdefghi", "jk", "aj")
    assert [name for name, fold in folds.items() if fold == NEVER] == ["a"]
    assert sorted(fold for name, fold in folds.items() if name in "bcdefghi") == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("train", "validation", "up_to"),
    [
        ("abcdefghi", "jk", 10),  # more images than that
        ("abcdefghi", "jk", 0),  # switched off
        ("abc", "jk", 40),  # fewer training images than folds
        ("abcdefghi", "", 40),  # nothing to rotate
    ],
)
def test_otherwise_nothing_rotates(train: str, validation: str, up_to: int) -> None:
    assert folds_of(train, validation, up_to=up_to) == {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty good pictures and two defects in a folder `dataset`."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in [*(f"good/{n:02}" for n in range(20)), "defect/0", "defect/1"]:
        path = Path(f"dataset/images/{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)


@pytest.mark.usefixtures("folder")
def test_few_pictures_get_folds_which_table_counts_health_and_log_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        images = read_images(run_split(source="folder", rotate_up_to=17))
    assert list(images.columns) == [*IMAGE_COLUMNS, FOLD]
    folds = images.groupby("split")[FOLD].apply(lambda fold: sorted(fold)).to_dict()
    assert folds["train"] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert folds["validation"] == [0, 0, 0]
    assert set(folds["test"]) | set(folds["synthetic"]) == {NEVER}
    counts = {"folds": 4, "held_out": 14}
    assert json.loads(Path("out/counts").read_text(encoding="utf-8"))["rotation"] == counts
    assert json.loads(Path("out/truth/health.json").read_text(encoding="utf-8"))["rotation"] == counts
    assert "besides 3 validation images, 14 training images are held out in 4 turns" in caplog.text
    turned = rotations(images)
    assert list(turned) == [1, 2, 3, 4]
    for fold, table in turned.items():
        assert set(table["image_id"]) == set(images["image_id"][images["split"].isin(["train", "validation"])])
        assert set(table["image_id"][table["split"] == "validation"]) == set(images["image_id"][images[FOLD] == fold])
        assert len(table[table["split"] == "train"]) in (13, 14)  # the deployed model has 14


@pytest.mark.usefixtures("folder")
def test_with_more_pictures_not_a_byte_differs() -> None:
    names = ("inputs/images.parquet", "truth/truth.parquet", "truth/health.json", "counts")
    run_split(source="folder", rotate_up_to=16)
    more = {name: Path("out", name).read_bytes() for name in names}
    images = read_images(Path("out/inputs"))
    run_split(source="folder", rotate_up_to=0)
    assert more == {name: Path("out", name).read_bytes() for name in names}
    assert list(images.columns) == list(IMAGE_COLUMNS)
    assert rotations(images) == {}
