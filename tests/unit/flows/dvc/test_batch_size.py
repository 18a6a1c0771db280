"""Halving a batch size changes one number of a params file."""

from pathlib import Path

import pytest
import yaml

from flows.dvc.batch_size import halve
from stages.core.run.errors import UserError
from tests.end_to_end.workspace import REPOSITORY

PARAMS = 'a:\n  net: {width: 3, batch_size: 9}  # wide\n\n  other: {batch_size: 9}\nb: "x"\n'


def test_halving_changes_one_number_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    assert halve(tmp_path, "a.net.batch_size") == "params.yaml: a.net.batch_size 9 -> 4"
    expected = PARAMS.replace("{width: 3, batch_size: 9}", "{width: 3, batch_size: 4}")
    assert (tmp_path / "params.yaml").read_text() == expected


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_image_is_no_batch(tmp_path: Path, number: int) -> None:
    (tmp_path / "params.yaml").write_text(f"n: {number}\n")
    assert halve(tmp_path, "n") is None


def test_dvc_yaml_lets_halve_batch_sizes_that_every_profile_has(tmp_path: Path) -> None:
    allowed = {}
    for name, stage in yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"].items():
        body = stage.get("do", stage)
        if "batch_size" in body["meta"]:
            file, _, key = body["meta"]["batch_size"].partition(":")
            (read,) = [section[file] for section in body["params"] if isinstance(section, dict)]
            assert file == "profiles/${profile}.yaml"
            assert any(key.startswith(f"{section}.") for section in read), name
            allowed[name] = key
    assert set(allowed) == {"segmentation", "student_teacher", "inctrl", "madclip"}
    (tmp_path / "profiles").mkdir()
    for profile in (REPOSITORY / "profiles").glob("*.yaml"):
        (tmp_path / "profiles" / profile.name).write_text(profile.read_text())
        for key in allowed.values():
            halve(tmp_path, f"profiles/{profile.name}:{key}")  # raises where there is none


@pytest.mark.parametrize(("key", "message"), [("a.net.size", "has no 'size'"), ("b", "must be a whole number")])
def test_what_is_no_batch_size_is_an_error(tmp_path: Path, key: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    with pytest.raises(UserError, match=message):
        halve(tmp_path, key)
