"""What SIR's stages refuse, and the messages."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stages.core.io.tables import read_images, write_images
from tests.params_files import change_params
from tests.unit.sir.case import SECTION, SIZE, cache, score, train


def refused(caplog: pytest.LogCaptureFixture, message: str, action: Any, *arguments: Any) -> None:
    with pytest.raises(SystemExit, match="1"):
        action(*arguments)
    assert message in " ".join(caplog.text.split())


def test_a_category_without_usable_normal_images_is_refused(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = read_images(Path("stripes/inputs"))
    write_images(Path("stripes/inputs"), table[table["split"] != "train"])
    refused(caplog, "stripes has no normal training image: SIR needs one at least", cache, "stripes")
    for number in range(5):
        Image.new("L", (SIZE, SIZE), 90).save(drawn / "squares/inputs/images" / f"{number}.png")
    refused(caplog, "squares: all 5 training images are of one colour", cache, "squares")
    assert not (drawn / "features/stripes").exists()
    assert not (drawn / "features/squares").exists()


def test_a_universal_model_of_one_category_is_a_specialised_one(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache("stripes")
    change_params(drawn, {"methods.sir.categories": {"stripes": {}}, f"{SECTION}.training.one_shot.iterations": 2})
    one = train("sir_one_shot_universal")
    assert (
        "methods.sir.categories names stripes alone: a universal model of one category is a specialised one"
        in caplog.text
    )
    assert one.read_bytes() == train("sir_one_shot_specialised", "stripes").read_bytes()
    change_params(drawn, {"methods.sir.categories": {}})
    refused(caplog, "methods.sir.categories: no category to learn from", train, "sir_one_shot_universal")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher.name": "no_such_network"}, "has no pretrained weights for 'no_such_network'"),
        ({"decoder.widths": [8]}, "sir.decoder.widths: the teacher has 2 stages, this has only 1 values"),
        ({"maps.pooled_share": 2}, "maps.pooled_share is 2: expected number from 0 to 1"),
    ],
)
def test_mistakes_are_one_clear_message(
    drawn: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], message: str
) -> None:
    change_params(drawn, {f"{SECTION}.training.one_shot.iterations": 2})
    change_params(drawn, {f"{SECTION}.{key}": value for key, value in changes.items()})

    def everything() -> None:
        cache("stripes")
        score("stripes", train("sir_one_shot_specialised", "stripes"), "scores")

    refused(caplog, message, everything)
    assert not (drawn / "scores").exists()


def test_an_unknown_setting_and_missing_features_are_refused(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache("stripes")
    refused(caplog, "there is no setting 'sir_two_shot_universal'", train, "sir_two_shot_universal")
    refused(caplog, "features/squares: no readable features", train, "sir_one_shot_universal")


def test_a_teacher_without_weights_names_the_command(
    drawn: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_arguments: object, **_options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("stages.core.encoder.pretrained.timm.create_model", offline)
    change_params(drawn, {f"{SECTION}.teacher.name": "wide_resnet50_2.tv2_in1k"})
    refused(caplog, "the weights of wide_resnet50_2.tv2_in1k could not be loaded", cache, "stripes")
    assert "hf download timm/wide_resnet50_2.tv2_in1k" in " ".join(caplog.text.split())
    assert not (drawn / "features").exists() or not list((drawn / "features").iterdir())


def test_a_one_shot_model_scores_only_categories_whose_image_it_saw(
    drawn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_params(drawn, {f"{SECTION}.training.one_shot.iterations": 2, f"{SECTION}.maps.normalization": "cells"})
    cache("stripes")
    model = train("sir_one_shot_specialised", "stripes")
    refused(
        caplog, "squares: the one-shot model learned from an image of stripes only", score, "squares", model, "scores"
    )
    table = read_images(Path("stripes/inputs"))
    write_images(Path("stripes/inputs"), table[table["split"] != "train"])
    refused(caplog, "is not there: run `dvc repro`", score, "stripes", model, "scores")
