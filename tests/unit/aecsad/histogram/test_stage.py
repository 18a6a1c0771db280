"""The histogram stage: edits and weights by hand, then from files to files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.histogram.__main__ import main
from stages.aecsad.histogram.columns import judge_column
from stages.aecsad.histogram.edits import duplicate, edit_components, find_regions, reclassify, remove
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps
from stages.aecsad.model.patch_histogram import histogram_distances, read_histogram_models
from stages.core.io.tables import write_images
from tests.params_files import write_params

OPTIONS = [
    *("--images", "images.parquet", "--label-maps", "labels.npz"),
    *("--scores", "scores.parquet", "--model", "model.npz", "--choice", "histogram.json"),
]
SECTION = {
    "grids": [1, 2], "shrinkage": 0.0, "edits_per_image": 4, "min_area": 0.003, "max_area": 0.2,
    "min_edit_auroc": 0.6, "max_inflation": 2.0,
}  # fmt: skip
SPLITS = ["train"] * 20 + ["validation"] * 10 + ["test"] * 8
LIMITS = {"min_edit_auroc": 0.6, "max_inflation": 2.0}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    params = {"profile": "tiny", "seed": 0, "profiles": {"tiny": {"aecsad": {"histogram": SECTION}}}}
    write_params(tmp_path, params)
    names = [f"{number:02d}" for number in range(len(SPLITS))]
    write_images(tmp_path / "images.parquet", pd.DataFrame({"image_id": names, "file": names, "split": SPLITS}))
    return tmp_path


def layout() -> np.ndarray:
    """A square of class 1 in a body of class 2 on background."""
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[10:30, 10:30] = 2
    labels[14:20, 14:20] = 1
    return labels


def normals() -> np.ndarray:
    """One map an image: class 1 above, class 2 below, sizes a little different; the last four lack class 1."""
    random = np.random.default_rng(0)
    maps = np.zeros((len(SPLITS), 40, 40), dtype=np.uint8)
    for label_map in maps:
        label_map[4 : 12 + random.integers(2), 4 : 12 + random.integers(2)] = 1
        label_map[24 : 34 + random.integers(2), 4 : 30 + random.integers(3)] = 2
    maps[-4:][maps[-4:] == 1] = 0
    return maps


def write_maps(maps: np.ndarray, num_classes: int = 3, names: list[str] | None = None) -> None:
    names = names or [f"{number:02d}" for number in range(len(maps))]
    write_label_maps(Path("labels.npz"), LabelMaps(tuple(names), maps, num_classes, np.ones(len(maps), dtype=bool)))


def test_regions_within_the_bounds() -> None:
    labels = layout()
    assert [(region.label, int(region.mask.sum())) for region in find_regions(labels, min_area=0, max_area=1)] == [
        (1, 36),
        (2, 364),
    ]
    assert [region.label for region in find_regions(labels, min_area=0.02, max_area=0.1)] == [1]
    assert find_regions(np.zeros((5, 5), dtype=np.uint8), min_area=0, max_area=1) == []


def test_removed_components_take_the_class_around_them() -> None:
    labels = layout()
    small, body = find_regions(labels, min_area=0, max_area=1)
    remove(labels, small, 3, np.random.default_rng(0))
    assert np.bincount(labels.ravel()).tolist() == [1200, 0, 400]
    labels = layout()
    remove(labels, body, 3, np.random.default_rng(0))
    assert np.bincount(labels.ravel()).tolist() == [1564, 36]


def test_doubled_components_are_whole_and_the_first_stays() -> None:
    for seed in range(20):
        labels = np.zeros((40, 40), dtype=np.uint8)
        labels[0:6, 34:40] = 1
        duplicate(labels, find_regions(labels, min_area=0, max_area=1)[0], 2, np.random.default_rng(seed))
        assert (labels[0:6, 34:40] == 1).all()
        assert 36 <= labels.sum() <= 72


def test_reclassified_components_are_of_another_component_class() -> None:
    for seed in range(20):
        labels = layout()
        reclassify(labels, find_regions(labels, min_area=0, max_area=1)[0], 5, np.random.default_rng(seed))
        assert labels[16, 16] in (2, 3, 4)


def test_edits_leave_the_originals_alone_and_skip_images_without_components() -> None:
    maps = np.stack([layout(), np.zeros((40, 40), dtype=np.uint8)])
    settings = {"num_classes": 3, "edits_per_image": 5, "min_area": 0.003, "max_area": 0.9}
    edited = edit_components(maps, **settings, random=np.random.default_rng(0))
    assert edited.shape == (5, 40, 40)
    assert all((edit != layout()).any() for edit in edited)
    np.testing.assert_array_equal(maps[0], layout())
    np.testing.assert_array_equal(edited, edit_components(maps, **settings, random=np.random.default_rng(0)))


def test_weight_falls_with_missed_edits_and_with_inflation() -> None:
    train, validation = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])  # medians 2 and 3: inflation 1.5
    verdict = judge_column(train=train, validation=validation, edited=np.array([5.0, 6.0, 2.5]), **LIMITS)
    auroc = 7 / 9  # 2.5 lies above one of three normals, 5 and 6 above all
    assert verdict.edit_auroc == pytest.approx(auroc)
    assert verdict.inflation == 1.5
    assert verdict.weight == pytest.approx((2 * auroc - 1) / 1.5)
    closer = judge_column(train=validation, validation=train, edited=np.array([9.0]), **LIMITS)
    assert closer.weight == 1.0  # normals that lie closer than the training images are no merit


@pytest.mark.parametrize(
    ("train", "edited", "reason"),
    [(3.0, 2.0, "left out: sees 0.0% of edits"), (1.0, 9.0, "3.00 times as far"), (3.0, None, "sees 50.0% of edits")],
)
def test_unreliable_columns_are_left_out(train: float, edited: float | None, reason: str) -> None:
    edits = np.array([] if edited is None else [edited])
    verdict = judge_column(train=np.full(3, train), validation=np.full(3, 3.0), edited=edits, **LIMITS)
    assert verdict.weight == 0
    assert verdict.reason.startswith("left out")
    assert reason in verdict.reason


def test_missing_components_score_higher(here: Path) -> None:
    write_maps(normals())
    main(OPTIONS)
    scores = pd.read_parquet("scores.parquet")
    assert list(scores.columns) == ["image_id", "split", "histogram_1x1", "histogram_2x2"]
    assert scores["split"].tolist() == SPLITS
    for column in ("histogram_1x1", "histogram_2x2"):
        assert scores[column][34:].min() > 2 * scores[column][:34].max()
    choice = json.loads(Path("histogram.json").read_text())
    assert choice["num_classes"] == 3
    assert set(choice["weights"]) == {"histogram_1x1", "histogram_2x2"}
    assert choice["weights"]["histogram_1x1"] == choice["columns"]["histogram_1x1"]["weight"] > 0.5
    for model, column in zip(read_histogram_models(Path("model.npz")), scores.columns[2:], strict=True):
        np.testing.assert_array_equal(histogram_distances(model, normals()), scores[column])


def test_weights_do_not_depend_on_test_images(here: Path) -> None:
    maps = normals()
    write_maps(maps)
    main(OPTIONS)
    before = Path("histogram.json").read_bytes(), Path("model.npz").read_bytes()
    maps[30:] = np.random.default_rng(1).integers(0, 3, maps[30:].shape)
    write_maps(maps)
    main(OPTIONS)
    assert (Path("histogram.json").read_bytes(), Path("model.npz").read_bytes()) == before


def test_label_maps_are_joined_by_image_id(here: Path) -> None:
    maps, order = normals(), np.random.default_rng(0).permutation(len(SPLITS))
    write_maps(maps)
    main(OPTIONS)
    before = pd.read_parquet("scores.parquet")
    write_maps(maps[order], names=[f"{number:02d}" for number in order])
    main(OPTIONS)
    pd.testing.assert_frame_equal(pd.read_parquet("scores.parquet"), before)


def test_no_component_classes_leave_every_column_out(here: Path) -> None:
    write_maps(np.zeros_like(normals()), num_classes=1)
    main(OPTIONS)
    choice = json.loads(Path("histogram.json").read_text())
    assert choice["num_classes"] == 1
    assert set(choice["weights"].values()) == {0.0}
    assert "nothing to compare" in choice["columns"]["histogram_1x1"]["reason"]
    assert not pd.read_parquet("scores.parquet")["histogram_1x1"].any()


def test_missing_maps_and_too_few_normals_are_named(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_maps(normals()[:-1])
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "1 images have no label map, 37 first" in caplog.text
    names = [f"{number:02d}" for number in range(len(SPLITS))]
    splits = ["train"] + ["test"] * (len(SPLITS) - 1)
    write_images(here / "images.parquet", pd.DataFrame({"image_id": names, "file": names, "split": splits}))
    write_maps(normals())
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "1 training and 0 normal validation images are too few" in caplog.text
