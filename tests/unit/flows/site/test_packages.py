"""New code does not run with old packages."""

from pathlib import Path

import pytest

from flows.site.packages import differences, refuse_other_packages
from stages.core.run.errors import UserError

PROJECT = """
[project]
dependencies = ["Torch>=2.11", "pip", "only-on-windows; sys_platform == 'win32'"]
[project.optional-dependencies]
flows = ["prefect==3.8.8"]
dev = ["not-needed"]
"""
INSTALLED = {"torch": "2.12.0+cpu", "pip": "23.0", "prefect": "3.8.8"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "constraints.txt").write_text("# pins\ntorch==2.12.0\nnot_installed==1.0  # fine\n")
    return tmp_path


def test_an_environment_that_fits(clone: Path) -> None:
    assert differences(clone, INSTALLED) == []
    (clone / "constraints.txt").unlink()
    assert differences(clone, INSTALLED) == []


def test_another_version_or_a_new_package_is_named(clone: Path) -> None:
    with (clone / "constraints.txt").open("a") as pins:
        pins.write("pip==24.0\n")
    old = {**INSTALLED, "torch": "2.10"}
    del old["prefect"]
    assert differences(clone, old) == [
        "Torch 2.10 instead of >=2.11", "pip 23.0 instead of ==24.0", "prefect is not installed",
        "torch 2.10 instead of ==2.12.0",
    ]  # fmt: skip


def test_a_run_is_refused_and_the_remedy_named(clone: Path) -> None:
    (clone / "pyproject.toml").write_text('[project]\ndependencies = ["pip", "a-package-of-tomorrow"]\n')
    (clone / "constraints.txt").unlink()
    with pytest.raises(UserError, match=r"\(a-package-of-tomorrow is not installed\): run `make setup-flows` in"):
        refuse_other_packages(clone)
