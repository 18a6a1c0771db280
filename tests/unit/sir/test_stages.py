"""SIR's stages on drawn images: what they write."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.io.maps import read_anomaly_maps
from stages.core.io.tables import read_images, write_images
from stages.sir.model.feature_files import read_features
from stages.sir.model.model import read_models
from tests.params_files import change_params
from tests.unit.sir.case import SECTION, SIZE, cache, score, train

SHORT = {f"{SECTION}.training.one_shot.iterations": 4}  # where it does not matter how well it learned


def test_one_image_of_each_category_shows_a_defect_in_both(drawn: Path) -> None:
    cache("stripes", "squares")
    model = train("sir_one_shot_universal")
    choice = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))
    assert choice["images"] == {"squares": 5, "stripes": 5}
    assert [set(draw) for draw in choice["drawn"].values()] == [{"squares", "stripes"}] * 2
    assert all(name.startswith("train/") for draw in choice["drawn"].values() for name in draw.values())
    curve = pd.read_csv(model.with_suffix(".csv"))
    assert list(curve.columns) == ["step", "loss", "repetition_0", "repetition_1"]
    for category in ("stripes", "squares"):
        found = score(category, model, f"scores_{category}")
        assert list(found.columns) == ["split", "score", "repetition_0", "repetition_1"]
        assert found["score"].equals(found["repetition_0"].rename("score"))
        for column in ("repetition_0", "repetition_1"):
            assert set(found.index[found[column].argsort()[-2:]]) == {"test/bad", "validation/0#synthetic"}
        maps = read_anomaly_maps(drawn / f"scores_{category}" / "maps")
        assert maps.image_ids == tuple(found.index)
        assert maps.values.shape == (5, SIZE // 8, SIZE // 8)
        bad = maps.values[maps.image_ids.index("test/bad")]
        row, column_ = np.unravel_index(bad.argmax(), bad.shape)
        assert 4 <= row <= 7
        assert 0 <= column_ <= 4


def test_full_shot_has_one_column_and_repeats_bit_by_bit(drawn: Path) -> None:
    cache("stripes")
    model = train("sir_full_shot_specialised", "stripes")
    first = score("stripes", model, "first")
    assert list(first.columns) == ["split", "score"]
    cache("stripes")
    again = train("sir_full_shot_specialised", "stripes")
    assert model.read_bytes() == again.read_bytes()
    assert first.equals(score("stripes", again, "second"))


def test_each_repetition_of_a_one_shot_model_loses_its_error_on_its_own_image(drawn: Path) -> None:
    """Without a blur nothing is left of the map of that image, and that of another repetition's is another one."""
    change_params(drawn, {**SHORT, f"{SECTION}.maps.sigma.one_shot": 0.0, f"{SECTION}.maps.normalization": "cells"})
    cache("stripes")
    model = train("sir_one_shot_specialised", "stripes")
    images = read_images(Path("stripes/inputs"))
    own = [one["stripes"] for one in read_models(model).drawn]
    again = images[images["image_id"].isin(own)].assign(split="test", image_id=lambda rows: "again/" + rows["image_id"])
    write_images(Path("stripes/inputs"), pd.concat([images[images["split"] == "train"], again]))
    found = score("stripes", model, "own")
    for number, image_id in enumerate(own):
        assert found[f"repetition_{number}"].abs().idxmin() == f"again/{image_id}"
        assert found[f"repetition_{number}"].abs().min() == pytest.approx(0, abs=1e-12)
        assert found[f"repetition_{number}"].abs().max() > 1e-3


def test_one_shot_trainings_learn_from_many_views_of_the_images_they_draw(
    drawn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    still = {"images": 2, "views": 3, "shift": 0.0, "rotation": 0.0, "scale": 0.0, "light": 0.0, "flips": False}
    changed = {**still, "shift": 0.2, "rotation": 5.0, "scale": 0.1, "light": 0.1, "flips": True}
    change_params(drawn, {**SHORT, f"{SECTION}.teacher.one_shot": still})
    cache("stripes")
    found = read_features(drawn / "features/stripes", category="stripes")
    for position, row in enumerate(found.single):
        for kept, single in zip(found.stages, found.single_stages, strict=True):
            assert single.shape[:2] == (2, 3)
            np.testing.assert_allclose(single[position], np.repeat(kept[row], 3, axis=0), atol=1e-2)
    plain = train("sir_one_shot_specialised", "stripes").read_bytes()
    change_params(drawn, {f"{SECTION}.teacher.one_shot": changed})
    cache("stripes")
    moved = read_features(drawn / "features/stripes", category="stripes")
    assert len({single.tobytes() for single in moved.single_stages[0][0]}) == 3
    assert train("sir_one_shot_specialised", "stripes").read_bytes() != plain
    drawn_rows = [f"train/{row}" for row in moved.single]
    assert [one["stripes"] for one in read_models(Path("sir_one_shot_specialised-stripes.safetensors")).drawn] == (
        drawn_rows
    )
    change_params(drawn, {f"{SECTION}.teacher.one_shot": {**changed, "images": 1}})
    cache("stripes")
    with pytest.raises(SystemExit):
        train("sir_one_shot_specialised", "stripes")
    assert "raise sir.teacher.one_shot.images to sir.training.one_shot.repetitions" in " ".join(caplog.text.split())


def test_full_shot_maps_are_standardised_by_training_images(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Training images have mean 0 then."""
    change_params(drawn, {**SHORT, f"{SECTION}.maps.normalization": "cells"})
    cache("stripes")
    model = train("sir_full_shot_specialised", "stripes")
    found = score("stripes", model, "cells")
    assert set(found.index[found["score"].argsort()[-2:]]) == {"test/bad", "validation/0#synthetic"}
    images = read_images(Path("stripes/inputs"))
    train_rows = images["split"] == "train"
    write_images(Path("stripes/inputs"), images.assign(split=images["split"].where(~train_rows, "test"))[train_rows])
    with pytest.raises(SystemExit):
        score("stripes", model, "none")
    assert "no training image to standardise the maps by" in caplog.text
    write_images(
        Path("stripes/inputs"),
        pd.concat(
            [
                images[train_rows],
                images[train_rows].assign(split="test", image_id=lambda rows: "again/" + rows["image_id"]),
            ]
        ),
    )
    score("stripes", model, "own")
    own = read_anomaly_maps(drawn / "own" / "maps").values.astype(np.float64)
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=0.02)


def test_no_score_depends_on_the_other_images(drawn: Path) -> None:
    change_params(drawn, SHORT)
    cache("stripes")
    model = train("sir_one_shot_specialised", "stripes")
    expected = score("stripes", model, "all").loc["test/bad", "repetition_1"]
    table = read_images(Path("stripes/inputs"))
    write_images(Path("stripes/inputs"), table[table["image_id"] == "test/bad"])
    assert score("stripes", model, "one")["repetition_1"].to_list() == [expected]


def test_features_are_those_of_the_training_images_in_every_view(drawn: Path) -> None:
    change_params(drawn, {f"{SECTION}.teacher.views": ["plain", "mirrored", "rotated_180"]})
    cache("stripes")
    found = read_features(drawn / "features" / "stripes", category="stripes")
    assert found.image_ids == tuple(f"train/{n}" for n in range(5))
    assert found.channels == [40, 112]
    assert [stage.shape for stage in found.stages] == [(5, 3, 40, 8, 8), (5, 3, 112, 4, 4)]
    plain = Image.open(drawn / "stripes/inputs/images/1.png")
    plain.rotate(180).save(drawn / "stripes/inputs/images/2.png")
    cache("stripes")
    again = read_features(drawn / "features" / "stripes", category="stripes")
    np.testing.assert_allclose(again.stages[0][2, 0], again.stages[0][1, 2], atol=2e-2)
    assert not np.allclose(again.stages[0][1, 0], again.stages[0][1, 1], atol=2e-2)


def test_the_seed_decides_which_images_are_kept(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_params(drawn, {f"{SECTION}.teacher.images": 2})
    caplog.set_level("INFO")
    kept = set()
    for seed in range(4):
        change_params(drawn, {"seed": seed})
        cache("stripes")
        kept.add(read_features(drawn / "features" / "stripes", category="stripes").image_ids)
    assert "stripes: 2 of 5 training images are kept" in caplog.text
    assert {len(names) for names in kept} == {2}
    assert len(kept) > 1


def test_small_images_are_enlarged_as_everywhere(drawn: Path) -> None:
    change_params(drawn, SHORT)
    for file in (drawn / "stripes/inputs/images").iterdir():
        Image.open(file).resize((9, 7)).save(file)
    cache("stripes")
    found = score("stripes", train("sir_one_shot_specialised", "stripes"), "small")
    assert bool(np.isfinite(found["score"]).all())


def test_images_of_one_colour_are_excluded_and_named(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_params(drawn, SHORT)
    Image.new("RGB", (SIZE, SIZE), (90, 90, 90)).save(drawn / "stripes/inputs/images/3.png")
    Image.new("RGB", (SIZE, SIZE), (90, 90, 90)).save(drawn / "stripes/inputs/images/9.png")
    cache("stripes")
    assert "stripes: 1 images of one colour are excluded: train/3" in caplog.text
    assert "train/3" not in read_features(drawn / "features" / "stripes", category="stripes").image_ids
    found = score("stripes", train("sir_one_shot_specialised", "stripes"), "scores")
    assert bool(np.isfinite(found["score"]).all())  # to be judged, such an image is one like any other
