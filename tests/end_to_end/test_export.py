"""The stage export in the real pipeline: off by default, exact in what it depends on."""

import subprocess
import sys
from pathlib import Path

import pytest

import oddpart
from tests.end_to_end.workspace import REPOSITORY, Workspace

pytestmark = pytest.mark.timeout(900)  # the first test waits for the whole pipeline
BARE = ("numpy", "onnxruntime", "pillow")


@pytest.fixture(scope="module")
def bundles(workspace: Workspace) -> Path:
    """The bundles of the tiny product, made once and not again."""
    assert "export" not in workspace.dvc("stage", "list")
    workspace.set_params({"export.categories": {"tiny": {}}})
    try:
        assert workspace.stages_run() == {"export@tiny"}
        assert workspace.stages_run() == set()
        kept = workspace.root / "kept bundles"
        (workspace.root / "artifacts/export/tiny").rename(kept)
    finally:
        workspace.set_params({"export.categories": {}})
    return kept


def test_bundles_of_all_default_methods(bundles: Path, workspace: Workspace) -> None:
    assert sorted(path.name for path in bundles.iterdir()) == ["aecsad", "oddpart", "patchcore"]
    bundle = oddpart.load(bundles / "oddpart")
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=workspace.root, text=True).strip()
    assert bundle.manifest["commit"] == commit
    assert bundle.product == "tiny"


@pytest.mark.slow
def test_a_new_environment_with_three_packages_judges(bundles: Path, tmp_path: Path) -> None:
    """The wheel as it is built, and nothing but what it needs to import oddpart; pip may take minutes."""
    python = tmp_path / "bare/bin/python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    lines = [
        [sys.executable, "-m", "venv", tmp_path / "bare"],
        [*pip, "install", "-c", REPOSITORY / "constraints.txt", *BARE],
        [*pip, "wheel", "--no-deps", "-w", tmp_path, "-c", REPOSITORY / "constraints.txt", REPOSITORY],
    ]
    for line in lines:
        subprocess.run(line, check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("oddpart-*.whl")
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True, capture_output=True, cwd=tmp_path)
    for method in ("oddpart", "aecsad", "patchcore"):
        folder = bundles / method
        code = f"import oddpart; print(oddpart.load({str(folder)!r}).predict({str(folder / 'pictures/2.png')!r}).score)"
        printed = subprocess.check_output([python, "-c", code], cwd=tmp_path, text=True)
        expected = oddpart.load(folder).manifest["test_pictures"][1]["score"]
        assert float(printed) == pytest.approx(expected, rel=1e-4)
