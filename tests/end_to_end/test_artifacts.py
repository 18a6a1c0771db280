"""Bundles as artifacts of DVC: a version is fetched by its git tag; entries without a bundle do no harm."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.source_files import ROOT

CONTENT: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
ENTRIES: dict[str, Any] = CONTENT["artifacts"]
OUTPUT = "artifacts/export/pin_tray"
MAKE = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "manifest.json").write_text(sys.argv[2])
"""


def test_each_product_has_an_entry_for_its_default_method() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert list(ENTRIES) == list(params["categories"])
    assert CONTENT["stages"]["export"]["do"]["outs"] == ["artifacts/export/${key}"]
    assert {name: (entry["path"], entry["type"]) for name, entry in ENTRIES.items()} == {
        name: (f"artifacts/export/{name}/oddpart", "model") for name in params["categories"]
    }


def test_a_version_is_fetched_by_its_tag(tmp_path: Path) -> None:
    """From a clone with a remote in a folder; the other products' bundles were never made."""
    origin, remote, line = tmp_path / "origin", tmp_path / "remote", tmp_path / "line"
    origin.mkdir()
    line.mkdir()
    environment = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }

    def run(*words: str | Path, at: Path = origin) -> str:
        command = [sys.executable, "-m", *words] if words[0] == "dvc" else list(words)
        done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("git", "init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "a"), ("user.email", "a@example.org")):
        run("git", "config", key, value)
    run("dvc", "init", "--quiet")
    run("dvc", "remote", "add", "--quiet", "--default", "store", str(remote))
    (origin / "make.py").write_text(MAKE, encoding="utf-8")
    for version in ("1", "2"):
        stage = {"cmd": f"python make.py {OUTPUT}/oddpart {version}", "outs": [OUTPUT]}
        text = yaml.safe_dump({"stages": {"export": stage}, "artifacts": ENTRIES})
        (origin / "dvc.yaml").write_text(text, encoding="utf-8")
        run("dvc", "repro", "--quiet")
        run("git", "add", ".")
        run("git", "commit", "--quiet", "--message", version)
        run("git", "tag", f"pin_tray@v{version}.0.0", "--annotate", "--message", "a version")
        run("dvc", "push", "--quiet")
    assert "up to date" in run("dvc", "status")
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", origin, clone)
    run("dvc", "artifacts", "get", ".", "pin_tray", "--rev", "v1.0.0", "--out", str(line / "old"), at=clone)
    run("dvc", "artifacts", "get", str(origin), "pin_tray", "--out", str(line / "new"), at=line)
    assert [(line / name / "manifest.json").read_text(encoding="utf-8") for name in ("old", "new")] == ["1", "2"]
