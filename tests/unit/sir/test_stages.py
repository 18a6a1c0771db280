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


def test_full_shot_maps_are_standardised_by_training_images_and_one_shot_maps_are_not(
    drawn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A change of `normalization` moves the first, not a number of the second; training images have mean 0 then."""
    change_params(drawn, SHORT)
    cache("stripes")
    models = {shots: train(f"sir_{shots}_specialised", "stripes") for shots in ("one_shot", "full_shot")}
    plain = {shots: score("stripes", model, f"{shots}_plain") for shots, model in models.items()}
    change_params(drawn, {f"{SECTION}.maps.normalization": "cells"})
    cells = {shots: score("stripes", model, f"{shots}_cells") for shots, model in models.items()}
    assert cells["one_shot"].equals(plain["one_shot"])
    found = cells["full_shot"]
    assert set(found.index[found["score"].argsort()[-2:]]) == {"test/bad", "validation/0#synthetic"}
    images = read_images(Path("stripes/inputs"))
    train_rows = images["split"] == "train"
    write_images(Path("stripes/inputs"), images.assign(split=images["split"].where(~train_rows, "test"))[train_rows])
    with pytest.raises(SystemExit):
        score("stripes", models["full_shot"], "none")
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
    score("stripes", models["full_shot"], "own")
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
