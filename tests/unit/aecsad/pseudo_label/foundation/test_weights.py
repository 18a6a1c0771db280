"""Weight files: checked before use, fetched with resume, recorded once, and never taken half."""

import hashlib
import json
from pathlib import Path

import pytest

from stages.aecsad.pseudo_label.foundation.weights import (
    obtain,
    parts_of,
    problem_of,
    read_weight_files,
    record,
    require,
)
from stages.core.io.fetch import fetch_file
from stages.core.run.errors import UserError
from tests.unit.aecsad.drawings import ROOT

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def write(folder: Path, *, sha256: str | None = DIGEST, file: str = "sub/a.pth") -> Path:
    entry = {"file": file, "url": "http://127.0.0.1:1/a.pth", "size": "7 bytes", "sha256": sha256, "licence": "CC0"}
    path = folder / "weights.json"
    path.write_text(json.dumps({"folder": str(folder / "w"), "files": {"a": entry}}), encoding="utf-8")
    return path


def test_this_repository_names_every_file_with_all_that_is_asked() -> None:
    manifest = read_weight_files(ROOT / "data/foundation_weights.json")
    parts = {"ram_plus", "tag_list", "tag_thresholds", "grounding_dino", "text_config", "text_tokenizer"}
    assert set(manifest.files) == parts | {"text_tokenizer_config", "sam_vit_b", "sam_vit_l", "sam_vit_h"}
    assert all(entry.url.startswith("https://") and entry.licence and entry.size for entry in manifest.files.values())
    assert len({manifest.path(part) for part in manifest.files}) == len(manifest.files)
    for part in ("text_tokenizer", "text_tokenizer_config"):  # they are read as one folder
        assert manifest.path(part).parent == manifest.path("text_config").parent


def test_a_mirror_with_other_content_or_none(tmp_path: Path) -> None:
    manifest = read_weight_files(write(tmp_path))
    with pytest.raises(UserError, match=r"sub/a\.pth does not exist: put the file into the mirror"):
        obtain(manifest, "a", mirror=tmp_path / "mirror")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "a.pth").write_bytes(b"other")
    with pytest.raises(UserError, match="the manifest names"):
        obtain(manifest, "a", mirror=tmp_path / "mirror")
    assert not list((tmp_path / "w").rglob("*.*"))


def test_missing_damaged_and_unknown_files_are_listed_together(tmp_path: Path) -> None:
    manifest = read_weight_files(write(tmp_path))
    with pytest.raises(
        UserError, match=rf"(?s)1 weight files are not ready: run .*--fetch.*a\.pth is missing .*{DIGEST}"
    ):
        require(manifest, ["a"])
    manifest.path("a").parent.mkdir(parents=True)
    manifest.path("a").write_bytes(CONTENT[:-1])
    assert "has the sha256" in str(problem_of(manifest, "a"))
    manifest.path("a").write_bytes(CONTENT)
    assert problem_of(manifest, "a") is None
    require(manifest, ["a"])


def test_the_error_names_the_command_that_fetches_the_files(tmp_path: Path) -> None:
    """Without names `--fetch` skips the smaller sizes of SAM, so it would not help a person who wants one of those."""
    path = write(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    entry = content["files"].pop("a")
    content["files"] = {part: {**entry, "file": f"{part}.pth"} for part in ("text_config", "sam_vit_b", "sam_vit_h")}
    path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "w").mkdir()
    (tmp_path / "w/text_config.pth").write_bytes(CONTENT)
    with pytest.raises(UserError, match="1 weight files are not ready") as caught:
        require(read_weight_files(path), ["text_config", "sam_vit_b"])
    command = str(caught.value).split("`")[1]
    assert command == "oddpart weights --fetch --parts sam_vit_b"  # tests/unit/commands runs it


def test_parts_by_what_the_proposer_does() -> None:
    everything = {"ram_plus", "tag_list", "tag_thresholds", "grounding_dino", "text_config", "text_tokenizer"}
    everything |= {"text_tokenizer_config", "sam_vit_b"}
    assert set(parts_of(sam="vit_b", tagged_images=1)) == everything
    assert set(parts_of(sam="vit_b", tagged_images=0)) == everything - {"ram_plus", "tag_list", "tag_thresholds"}


def test_an_unpublished_sha256_is_recorded_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, sha256=None)
    manifest = read_weight_files(path)
    manifest.path("a").parent.mkdir(parents=True)
    manifest.path("a").write_bytes(CONTENT)
    with pytest.raises(UserError, match="no sha256 to compare it with"):
        require(manifest, ["a"])
    record(path, manifest, {"a": DIGEST})
    assert "recorded the sha256" in caplog.text
    recorded = read_weight_files(path)
    assert recorded.files["a"].sha256 == DIGEST
    record(path, recorded, {"a": "0" * 64})
    assert read_weight_files(path).files["a"].sha256 == DIGEST
    require(recorded, ["a"])


def test_a_file_of_unknown_sha256_is_not_fetched_twice(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert fetch_file("http://127.0.0.1:1/a", tmp_path / "a", sha256=None, about="a") == DIGEST


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../a"}, "file is .*: expected text of the form"),
        ({"url": "ftp://x"}, "url"),
        ({"sha256": "x"}, "sha256"),
    ],
)
def test_bad_manifests(tmp_path: Path, change: dict[str, str], message: str) -> None:
    path = write(tmp_path)
    content = json.loads(path.read_text())
    content["files"]["a"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_weight_files(path)
    path.write_text("{")
    with pytest.raises(UserError, match="not a JSON file"):
        read_weight_files(path)
