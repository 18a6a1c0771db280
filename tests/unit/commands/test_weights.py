"""`oddpart weights` checks, fetches and says what is missing; the files themselves are tested with their stage."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.app import app
from commands.weights import provide_weights
from stages.aecsad.pseudo_label.foundation.weights import read_weight_files, require
from stages.core.run.errors import UserError

CONTENT = b"weights"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest of three small files, and a mirror that has them."""
    entry = {"url": "http://127.0.0.1:1/x", "size": "7 bytes", "licence": "CC0"}
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    parts = ("text_config", "sam_vit_b", "sam_vit_h")
    files = {part: {**entry, "file": f"{part}.pth", "sha256": sha256} for part in parts}
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"folder": str(tmp_path / "w"), "files": files}), encoding="utf-8")
    (tmp_path / "mirror").mkdir()
    for part in parts:
        (tmp_path / "mirror" / f"{part}.pth").write_bytes(CONTENT)
    return path


def test_fetch_brings_all_but_the_smaller_sizes_of_sam(manifest: Path, tmp_path: Path) -> None:
    provide_weights(manifest, [], check=False, fetch=True, mirror=tmp_path / "mirror")
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["sam_vit_h.pth", "text_config.pth"]
    assert provide_weights(manifest, [], check=True, fetch=False, mirror=None) == "2 files ready"


def test_the_remedy_of_missing_files_is_a_command_that_works(manifest: Path, tmp_path: Path) -> None:
    parts = ["text_config", "sam_vit_b"]
    with pytest.raises(UserError, match="2 weight files are not ready") as caught:
        require(read_weight_files(manifest), parts)
    options = str(caught.value).split("`")[1].partition(" --fetch ")[2].split()
    assert options[0] == "--parts"
    words = ["weights", "--fetch", *options, "--mirror", str(tmp_path / "mirror"), "--manifest", str(manifest)]
    assert CliRunner().invoke(app, words).exit_code == 0
    require(read_weight_files(manifest), parts)


def test_mistakes_are_one_message(manifest: Path) -> None:
    for parts, check, fetch, message in (
        ([], False, False, "name one of --check, which only looks, and --fetch"),
        ([], True, True, "name one of --check"),
        (["sam"], True, False, "has no sam; it has text_config, sam_vit_b, sam_vit_h"),
        (["sam_vit_b"], True, False, "sam_vit_b.pth is missing"),
    ):
        with pytest.raises(UserError, match=message):
            provide_weights(manifest, parts, check=check, fetch=fetch, mirror=None)
