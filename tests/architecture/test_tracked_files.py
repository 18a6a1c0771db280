"""Nothing that is committed names somebody's machine or a package registry, or is as large as a model."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_files import ROOT

# Written in pieces, else this file would be among the finds.
FORBIDDEN = re.compile(
    r"/(?:root|home/\w+|Users/\w+)/"
    r"|[\s'\"=]/wo" + r"rk/\w"
    r"|py" + r"pi\.org|python" + r"hosted|art" + r"ifactory|--(?:extra-)?index" + r"-url|trusted" + r"-host",
    re.IGNORECASE,
)
LARGEST = 16 * 2**20  # bytes; git never forgets one: data and models are DVC's
PIN = re.compile(r"[A-Za-z0-9._-]+==[\w.!+]+")


def files() -> list[str]:
    """Tracked files and new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return sorted({name for name in subprocess.check_output(command, cwd=ROOT, text=True).split("\0") if name})


def finds(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError):  # binary, or deleted and not yet committed
        return []
    return [f"{path.name}:{number}: {line[:120]}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)]


def test_no_machine_path_or_registry_in_any_file() -> None:
    names = files()
    assert "params.yaml" in names
    assert [find for name in names for find in finds(ROOT / name)] == []


def test_no_file_is_as_large_as_a_model() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in files() if (ROOT / name).is_file()}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}


@pytest.mark.parametrize(
    "line", ["x = '/root" + "/data'", "pip install --index" + "-url x", "/home" + "/ann/x", "py" + "pi.org"]
)
def test_the_pattern_finds(tmp_path: Path, line: str) -> None:
    (tmp_path / "a").write_text(f"ok\n{line}\n")
    assert finds(tmp_path / "a") == [f"a:2: {line}"]


@pytest.mark.parametrize("line", ["/wo" + "rk/", "path: /data/my_part", "/tmp/x", "https://github.com/x"])
def test_the_pattern_leaves_alone(line: str) -> None:
    assert not FORBIDDEN.search(line)


def test_constraints_are_names_and_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#") and not PIN.fullmatch(line)] == []
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    assert set(build["requires"]) <= set(lines)  # pip builds apart from the rest and does not look at constraints there
