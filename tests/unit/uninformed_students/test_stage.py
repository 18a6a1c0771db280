"""The stage on drawn images: what it writes, what it refuses, and that a killed run continues."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.io.maps import read_anomaly_maps
from stages.core.io.tables import read_images, write_images
from stages.core.io.weights import read_weights
from stages.core.training.checkpoints import FOLDER
from stages.uninformed_students import students as students_module
from stages.uninformed_students.patch_network import PatchNetwork
from tests.params_files import change_params
from tests.unit.uninformed_students.case import END, RESIZE, SECTION, SHORT, SIZE, run


def test_a_defect_scores_highest_and_is_where_it_was_drawn(drawn: Path) -> None:
    scores = run("out")
    assert list(scores.columns) == ["split", "score", "error", "variance"]
    assert set(scores["split"]) == {"validation", "synthetic", "validation_anomalous", "test"}
    assert set(scores.index[scores["score"].argsort()[-2:]]) == {"test/bad", "validation/0#synthetic"}
    maps = read_anomaly_maps(drawn / "out" / "maps")
    assert maps.image_ids == tuple(scores.index)
    assert {name: values.shape for name, values in maps.branches.items()} == {"variance": maps.values.shape}
    assert maps.values.shape == (6, SIZE // 4, SIZE // 4)
    row, column = np.unravel_index(maps.values[maps.image_ids.index("test/bad")].argmax(), maps.values.shape[1:])
    assert 5 <= row <= 12
    assert 0 <= column <= 7
    bad = maps.values[maps.image_ids.index("test/bad")].astype(np.float64)
    assert np.sort(bad.ravel())[-2:].mean() * 24 == pytest.approx(scores["score"]["test/bad"], rel=2e-3)  # 24 channels
    state, arguments = read_weights(drawn / "out.safetensors")
    assert arguments["teacher"]["patch_sizes"] == [17]
    network = PatchNetwork(17, dim=24, width=0.06)
    prefix = "p17.student_2."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, strict=True)
    assert not list((drawn / FOLDER).glob("*.pt"))


def test_a_run_repeats_and_no_score_depends_on_other_images(drawn: Path) -> None:
    change_params(drawn, SHORT)
    first = run("a")
    assert first.equals(run("b"))
    images = read_images(Path("inputs"))
    write_images(Path("inputs"), images[(images["split"] == "train") | (images["image_id"] == "test/bad")])
    assert run("c")["score"].to_list() == [first["score"]["test/bad"]]
    change_params(drawn, {"seed": 1})
    assert run("d")["score"].to_list() != [first["score"]["test/bad"]]


def test_a_map_beyond_half_precision_is_clipped_and_no_score(drawn: Path) -> None:
    """A background of 240 to 248 in all images: what students fail at in a dark square is far from every normal one."""
    noise = np.random.default_rng(0)
    for number in range(12):
        image = 240 + noise.integers(0, 9, (SIZE, SIZE, 1)) + np.zeros((1, 1, 3), dtype=int)
        if number in (8, 11):
            image[16:32, 16:32] = 20
        Image.fromarray(image.astype(np.uint8)).save(drawn / "inputs/images" / f"{number}.png")
    change_params(drawn, {f"{SECTION}.normalization": "cells"})
    scores = run("out")["score"]
    assert set(scores.index[scores.argsort()[-2:]]) == {"test/bad", "validation/0#synthetic"}
    maps = read_anomaly_maps(drawn / "out" / "maps")
    assert scores["test/bad"] > 65_504
    assert float(maps.values[maps.image_ids.index("test/bad")].max()) == 65_504


@pytest.mark.slow
def test_several_patch_sizes_are_standardised_and_averaged(drawn: Path) -> None:
    change_params(drawn, {f"{SECTION}.teacher.patch_sizes": [17, 33], f"{SECTION}.normalization": "zscore"})
    change_params(drawn, SHORT)
    scores = run("both")
    assert list(scores.columns[2:]) == ["error_17", "variance_17", "error_33", "variance_33"]
    both = read_anomaly_maps(drawn / "both" / "maps")
    rows = [both.image_ids.index(f"validation/{n}") for n in range(2)]
    assert float(both.values[rows].astype(np.float64).mean()) == pytest.approx(0, abs=0.02)  # standardised on these
    alone = []
    for patch_size in (17, 33):
        change_params(drawn, {f"{SECTION}.teacher.patch_sizes": [patch_size]})
        run(str(patch_size))
        alone.append(read_anomaly_maps(drawn / str(patch_size) / "maps").values.astype(np.float64))
    np.testing.assert_allclose(np.mean(alone, axis=0), both.values, rtol=0.01, atol=0.02)


def test_the_curve_continues_from_the_teacher_to_the_students(drawn: Path) -> None:
    change_params(drawn, SHORT)
    run("out")
    curve = pd.read_csv(drawn / "out.csv")
    assert curve["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert curve["phase"].tolist() == ["teacher, 17 px"] * 3 + ["students, 17 px"] * 3
    assert curve.columns.tolist()[2:] == ["loss", "distillation", "compactness", "student_1", "student_2"]
    students = curve[curve["step"] > 3]
    assert students["distillation"].isna().all()
    np.testing.assert_allclose(students["loss"], students["student_1"] + students["student_2"], rtol=1e-5)


def test_a_single_student_has_no_variance_and_a_warning(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_params(drawn, {**SHORT, f"{SECTION}.students.count": 1})
    scores = run("out")
    assert "a single student agrees with itself: the variance map is 0 everywhere" in caplog.text
    assert bool((scores["variance"] == 0).all())


class Killed(Exception):
    pass


def test_a_killed_run_does_not_train_the_teacher_again(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_params(drawn, SHORT)
    expected = run("whole")
    working = students_module.imitation_terms

    def killed(*_arguments: object, **_options: object) -> None:
        raise Killed

    monkeypatch.setattr(students_module, "imitation_terms", killed)
    with pytest.raises(Killed):
        run("killed")
    assert not (drawn / "killed").exists()
    assert len(list((drawn / FOLDER).glob("teacher-*.finished.pt"))) == 1
    monkeypatch.setattr(students_module, "imitation_terms", working)
    monkeypatch.setattr("stages.uninformed_students.teacher.distillation_loss", killed)  # would raise if it trained
    assert run("resumed").equals(expected)
    assert (drawn / "resumed.csv").read_bytes() == (drawn / "whole.csv").read_bytes()
    assert not list((drawn / FOLDER).glob("*.pt"))


def without_training(images: pd.DataFrame) -> pd.DataFrame:
    return images[images["split"] != "train"]


def without_validation(images: pd.DataFrame) -> pd.DataFrame:
    return images[images["split"] != "validation"]


@pytest.mark.parametrize(
    ("keep", "changes", "message"),
    [
        (without_training, {}, "the image table has no training image"),
        (
            without_validation,
            {"normalization": "zscore"},
            "there is no normal validation image to standardise the maps",
        ),
        (None, {"teacher.patch_sizes": [65]}, "images of 48 px are smaller than the patch of 65 px"),
        (None, {"backbone.name": "no_such_network"}, "uninformed_students.backbone.name: timm"),
    ],
)
def test_mistakes_are_one_clear_message(
    drawn: Path, caplog: pytest.LogCaptureFixture, keep: Any, changes: dict[str, Any], message: str
) -> None:
    change_params(drawn, {f"{SECTION}.{key}": value for key, value in changes.items()})
    change_params(drawn, SHORT)
    if keep is not None:
        write_images(Path("inputs"), keep(read_images(Path("inputs"))))
    with pytest.raises(SystemExit, match="1"):
        run("out")
    assert message in caplog.text.replace("\n", " ")
    assert not (drawn / "out").exists()


@pytest.mark.parametrize("rotation", [[], [{"name": "RandomRotation", "degrees": 180.0}]])
def test_images_of_one_colour_are_a_user_error(
    drawn: Path, caplog: pytest.LogCaptureFixture, rotation: list[dict[str, Any]]
) -> None:
    """Also with the published list of transforms, whose rotation adds black corners that differ."""
    for grey, file in enumerate(sorted((drawn / "inputs/images").iterdir())):
        Image.new("RGB", (SIZE, SIZE), (90 + grey, 90, 90)).save(file)
    crop = {"name": "RandomCrop", "size": "patch_size"}
    change_params(drawn, {**SHORT, f"{SECTION}.teacher.augmentation": [RESIZE, crop, *rotation, *END]})
    with pytest.raises(SystemExit, match="1"):
        run("out")
    assert "all 6 training images are of one colour: there is nothing to learn from" in caplog.text.replace("\n", " ")
