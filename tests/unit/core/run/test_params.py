"""params.yaml is read once, and every mistake in it is named."""

from pathlib import Path

import pytest

from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams, Params, check_category_names, load_params, load_value, validate

PROFILES = {
    "embedded": "encoder: {name: big, image_size: 256}",
    "smoke": "encoder: {name: small, image_size: 64}\naecsad: {cluster: {name: x, image_size: 1}}",
}
TEXT = """
profile: smoke
seed: 7
categories: {pin_tray: {source: sample}}
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "profiles").mkdir()
    for name, text in PROFILES.items():
        (tmp_path / f"profiles/{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "params.yaml"


def test_a_section_comes_from_the_active_profile(params: Path) -> None:
    assert load_params(EncoderParams, section="encoder") == EncoderParams(name="small", image_size=64)
    assert load_params(EncoderParams, section="aecsad.cluster").name == "x"
    params.write_text(TEXT.replace("profile: smoke", "profile: embedded"))
    assert load_params(EncoderParams, section="encoder").image_size == 256


def test_values_by_dotted_path(params: Path) -> None:
    assert load_value("seed") == 7
    assert load_value("categories.pin_tray.source") == "sample"


@pytest.mark.parametrize(
    ("key", "part"), [("sed", "sed"), ("categories.bolt.source", "bolt"), ("seed.deeper", "deeper")]
)
def test_a_missing_key_is_named_with_the_part_that_fails(params: Path, key: str, part: str) -> None:
    with pytest.raises(UserError, match=rf"params\.yaml: the key '{key}' is missing \(no '{part}' there\)"):
        load_value(key)


def test_a_profile_that_does_not_exist_is_named(params: Path) -> None:
    params.write_text(TEXT.replace("profile: smoke", "profile: papr"))
    with pytest.raises(UserError, match=r"there is no profiles/papr\.yaml \(known profiles: embedded, smoke\)"):
        load_params(EncoderParams, section="encoder")


def test_every_finding_is_in_one_message(params: Path) -> None:
    (params.parent / "profiles/smoke.yaml").write_text("encoder: {image_size: wide, weights: {file: a}, colour: red}")
    with pytest.raises(UserError) as error:
        load_params(EncoderParams, section="encoder")
    message = str(error.value)
    assert message.startswith("profiles/smoke.yaml: ")
    assert message.count("encoder.") == 3
    for finding in ("image_size is 'wide': expected integer above 0", "colour: unknown key, and name is missing",
                    "weights.sha256 is missing: expected text"):  # fmt: skip
        assert f"encoder.{finding}" in message


def test_a_section_that_is_no_mapping_is_named() -> None:
    with pytest.raises(UserError, match=r"params\.yaml: evaluation is 3: expected section \(name, image_size"):
        validate(EncoderParams, 3, where="evaluation")


@pytest.mark.parametrize(
    ("text", "message"), [(None, "is missing: run from"), ("a: [1", "not valid YAML"), ("", "no 'a'")]
)
def test_an_unusable_file_is_a_user_error(params: Path, text: str | None, message: str) -> None:
    params.unlink() if text is None else params.write_text(text)
    with pytest.raises(UserError, match=message):
        load_value("a")


def test_params_are_frozen() -> None:
    class Stage(Params):
        size: int

    stage = Stage(size=3)
    with pytest.raises(ValueError, match="frozen"):
        stage.size = 4  # type: ignore[misc]


def test_names_of_categories() -> None:
    check_category_names(["pin_tray", "größe-2", "12"])
    with pytest.raises(UserError) as error:
        check_category_names(["good", "my part", "a.b", "a\n", "", 12, False])
    for name in ("'my part'", "'a.b'", r"'a\n'", "''"):
        assert f"the name {name} does not consist of letters, digits, - and _: rename it" in str(error.value)
    for number in ("12", "False"):
        assert f"the name {number} is not read as text: put it in quotes" in str(error.value)
    assert "good" not in str(error.value)


def test_names_that_fail_only_in_dvc_or_as_file_names_are_refused_too() -> None:
    check_category_names(["e3", "1e", "3e4x", "n" * 100])  # text in YAML 1.1 and 1.2
    with pytest.raises(UserError) as error:
        check_category_names(["1e3", "2E-1", "0o17", "ü" * 51])
    for name in ("1e3", "2E-1", "0o17"):
        assert f"the name '{name}' is a number to DVC: rename it" in str(error.value)
    assert "is too long for a file's name" in str(error.value)
