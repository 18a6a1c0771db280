"""The histogram stage from files to files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.histogram.__main__ import main
from stages.aecsad.model.conformal import read_jackknife
from stages.aecsad.model.edited import EditedPictures, write_edited
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps, write_turns
from stages.aecsad.model.part_numbers import part_distances, read_findings, read_part_model, write_part_areas
from stages.aecsad.model.patch_histogram import read_histogram_models
from stages.core.io.tables import write_images
from stages.core.runtime.histograms import histogram_distances
from tests.params_files import write_params
from tests.unit.aecsad.kits import no_parts, two_kinds

OPTIONS = ["--inputs", "inputs", "--segmentation", "maps", "--output", "out", "--choice", "histogram.json"]
SECTION = {
    "grids": [1, 2], "shrinkage": 0.0, "min_edit_auroc": 0.6, "max_inflation": 2.0,
}  # fmt: skip
SPLITS = ["train"] * 20 + ["validation"] * 10 + ["test"] * 8
NAMES = tuple(f"{number:02d}" for number in range(len(SPLITS)))


@pytest.fixture(autouse=True)
def inputs(here: Path) -> None:
    """Params, an image table and edited pictures."""
    write_params(here, {"profile": "tiny", "seed": 0, "profiles": {"tiny": {"aecsad": {"histogram": SECTION}}}})
    write_table(SPLITS)
    write_edits(without_class_1())
    write_part_areas(Path("maps"), no_parts(NAMES, 10), fold=0)


def write_table(splits: list[str]) -> None:
    names = [f"{number:02d}" for number in range(len(splits))]
    write_images(Path("inputs"), pd.DataFrame({"image_id": names, "file": names, "split": splits}))


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
    label_maps = LabelMaps(tuple(names), maps, num_classes, np.ones(len(maps), dtype=bool))
    write_label_maps(Path("maps/label_maps.npz"), label_maps, made_from={"segmentation": "5e6"})


def write_edits(maps: np.ndarray) -> None:
    """Write label maps of edited pictures, one of each of the ten validation images."""
    sources = tuple(f"{number:02d}" for number in range(20, 30))
    write_edited(Path("maps/edited.npz"), EditedPictures(sources, ("cut",) * 10, maps))


def without_class_1() -> np.ndarray:
    maps = normals()[20:30]
    return np.where(maps == 1, 0, maps)


def test_missing_components_score_higher() -> None:
    write_maps(normals())
    main(OPTIONS)
    scores = pd.read_parquet("out/scores.parquet")
    assert list(scores.columns) == ["image_id", "split", "histogram_1x1", "histogram_2x2"]
    assert scores["split"].tolist() == SPLITS
    for column in ("histogram_1x1", "histogram_2x2"):
        assert scores[column][34:].min() > 2 * scores[column][:34].max()
    choice = json.loads(Path("histogram.json").read_text())
    assert (choice["num_classes"], choice["covered"]) == (3, True)
    assert choice["columns"]["histogram_1x1"]["edits"] == {"cut": 1.0}
    assert set(choice["weights"]) == {"histogram_1x1", "histogram_2x2"}
    assert choice["weights"]["histogram_1x1"] == choice["columns"]["histogram_1x1"]["weight"] > 0.5
    for model, column in zip(read_histogram_models(Path("out/model.npz")), scores.columns[2:], strict=True):
        np.testing.assert_array_equal(histogram_distances(model, normals()), scores[column])


def test_numbers_of_parts_are_a_column_of_their_own() -> None:
    write_maps(normals())
    discs = np.full(len(SPLITS), 2)
    discs[-3:] = 1
    parts = two_kinds(NAMES, discs, np.ones(10))
    write_part_areas(Path("maps"), parts, fold=0)
    main(OPTIONS)
    scores, choice = pd.read_parquet("out/scores.parquet"), json.loads(Path("histogram.json").read_text())
    assert scores["parts"][35:].min() > scores["parts"][:35].max()
    assert set(choice["weights"]) == {"histogram_1x1", "histogram_2x2"}
    assert choice["parts"]["edits"] == {"cut": 1.0} and choice["parts"]["weight"] > 0.5
    model = read_part_model(Path("out/model.npz"))
    assert model is not None
    np.testing.assert_array_equal(part_distances(model, parts.areas), scores["parts"])
    table = read_jackknife(Path("out"), scores)
    assert table is not None
    assert (table["parts"] > 0.5).all() and (table["parts_edit_auroc"] == 1.0).all()
    findings = read_findings(Path("out"))
    assert set(findings) == set(NAMES[20:])
    assert [(one.component, round(one.number)) for one in findings["37"]] == [(1, -1)]


def test_numbers_of_parts_that_are_seen_often_but_not_clearly_are_no_law() -> None:
    """Half of the edited pictures look normal: enough for a grid, not for numbers of parts."""
    write_maps(normals())
    discs = np.full(len(SPLITS), 2)
    write_part_areas(Path("maps"), two_kinds(NAMES, discs, np.array([1, 2] * 5)), fold=0)
    main(OPTIONS)
    verdict = json.loads(Path("histogram.json").read_text())["parts"]
    assert 0.6 < verdict["edit_auroc"] < 0.8
    assert verdict["weight"] == 0
    assert "AUROC needed: 80%" in verdict["reason"]


def test_without_kinds_of_parts_there_is_no_such_column() -> None:
    write_maps(normals())
    main(OPTIONS)
    assert "parts" not in pd.read_parquet("out/scores.parquet")
    assert json.loads(Path("histogram.json").read_text())["parts"] is None
    assert read_part_model(Path("out/model.npz")) is None
    assert read_findings(Path("out")) == {}


def test_numbers_of_parts_are_in_use_only_where_every_turn_has_kinds() -> None:
    write_maps(normals())
    names, folds = NAMES, [1, 2] * 10 + [0] * 10 + [-1] * 8
    write_images(Path("inputs"), pd.DataFrame({"image_id": names, "file": names, "split": SPLITS, "fold": folds}))
    everything = LabelMaps(names, normals(), 3, np.ones(len(names), dtype=bool))
    write_turns(Path("maps"), {1: everything, 2: everything})
    whole, one_less = two_kinds(NAMES, np.full(len(NAMES), 2), np.ones(10)), np.full(len(NAMES), 2)
    one_less[[0, 1]] = 1  # the first image of either fold, when its fold is held out
    turn = two_kinds(NAMES, one_less, np.ones(10))
    for fold, areas in ((0, whole), (1, turn), (2, turn)):
        write_part_areas(Path("maps"), areas, fold=fold)
    main(OPTIONS)
    rotated = pd.read_parquet("out/scores.parquet").query("split == 'rotated'").set_index("image_id")["parts"]
    assert len(rotated) == 20
    assert set(rotated.nlargest(2).index) == {"00", "01"}
    write_part_areas(Path("maps"), no_parts(NAMES, 0), fold=2)
    main(OPTIONS)
    assert "parts" not in pd.read_parquet("out/scores.parquet")


def test_areas_of_other_images_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    write_maps(normals())
    write_part_areas(Path("maps"), two_kinds(NAMES[1:], np.ones(len(NAMES) - 1), np.ones(10)), fold=0)
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "1 images have no areas of parts, 00 first: run `dvc repro`" in caplog.text


def test_weights_do_not_depend_on_test_images() -> None:
    maps = normals()
    write_maps(maps)
    main(OPTIONS)
    before = Path("histogram.json").read_bytes(), Path("out/model.npz").read_bytes()
    maps[30:] = np.random.default_rng(1).integers(0, 3, maps[30:].shape)
    write_maps(maps)
    main(OPTIONS)
    assert (Path("histogram.json").read_bytes(), Path("out/model.npz").read_bytes()) == before


def test_edits_that_no_grid_sees_are_reported_as_not_covered(caplog: pytest.LogCaptureFixture) -> None:
    write_maps(normals())
    write_edits(normals()[20:30])  # a segmentation that is blind for the edits
    main(OPTIONS)
    choice = json.loads(Path("histogram.json").read_text())
    assert choice["covered"] is False
    assert set(choice["weights"].values()) == {0.0}
    assert "logical anomalies are not covered" in caplog.text


def test_label_maps_are_joined_by_image_id() -> None:
    maps, order = normals(), np.random.default_rng(0).permutation(len(SPLITS))
    write_maps(maps)
    main(OPTIONS)
    before = pd.read_parquet("out/scores.parquet")
    write_maps(maps[order], names=[f"{number:02d}" for number in order])
    main(OPTIONS)
    pd.testing.assert_frame_equal(pd.read_parquet("out/scores.parquet"), before)


def test_without_component_classes_every_column_is_excluded() -> None:
    write_maps(np.zeros_like(normals()), num_classes=1)
    write_edits(np.zeros_like(normals()[20:30]))
    main(OPTIONS)
    choice = json.loads(Path("histogram.json").read_text())
    assert choice["num_classes"] == 1
    assert set(choice["weights"].values()) == {0.0}
    assert "nothing to compare" in choice["columns"]["histogram_1x1"]["reason"]
    assert not pd.read_parquet("out/scores.parquet")["histogram_1x1"].any()


def test_missing_maps_and_too_few_normals_are_named(caplog: pytest.LogCaptureFixture) -> None:
    write_maps(normals()[:-1])
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "1 images have no label map, 37 first" in caplog.text
    write_table(["train"] + ["test"] * (len(SPLITS) - 1))
    write_maps(normals())
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "1 training and 0 normal validation images are too few" in caplog.text
