"""The image for the line: it can be built from what is here, runs as nobody in particular, and has no torch."""

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source_files import ROOT

LINES = [line for line in (ROOT / "Containerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
HEAVY = {"torch", "torchvision", "timm", "onnx", "pandas", "scipy", "dvc", "prefect", "opencv-python-headless"}


def words(instruction: str) -> list[list[str]]:
    return [line.split()[1:] for line in LINES if line.startswith(f"{instruction} ")]


def needed(name: str, extra: str = "") -> set[str]:
    """Names of all packages that an installed one needs, with their own needs."""
    found: set[str] = set()
    waiting = [(name, extra)]
    while waiting:
        package, wanted = waiting.pop()
        try:
            lines = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for one in map(Requirement, lines):
            if one.marker is not None and not one.marker.evaluate({"extra": wanted}):
                continue
            if canonicalize_name(one.name) not in found:
                found.add(canonicalize_name(one.name))
                waiting += [(one.name, inner) for inner in ("", *one.extras)]
    return found


def test_what_is_copied_is_there_and_not_ignored() -> None:
    sources = {source for line in words("COPY") if not line[0].startswith("--") for source in line[:-1]}
    assert {"pyproject.toml", "constraints.txt", "oddpart", "commands", "stages"} <= sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_it_runs_as_a_user_with_a_number_and_says_whether_it_is_well() -> None:
    (user,) = words("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user[0])
    assert words("HEALTHCHECK")
    assert not [line for line in LINES if "TOKEN" in line], "a token is no part of an image"


def test_it_has_no_torch() -> None:
    assert needed("oddpart") >= {"numpy", "pillow", "onnxruntime"}
    assert needed("oddpart") & HEAVY == set()
    assert Path(ROOT / "Containerfile").read_text(encoding="utf-8").count("'.[serve]'") == 1
    for name in ("alembic", "fastapi", "prometheus_client", "python-multipart", "sqlalchemy", "uvicorn"):
        assert needed(name) & HEAVY == set()
