"""Check that the environment that runs the stages is the one that the clone's files ask for."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stages.core.run.errors import UserError

EXTRAS = ("flows",)  # of pyproject.toml, in addition to what all stages need
SHOWN = 5


def refuse_other_packages(clone: Path) -> None:
    """Refuse to run new code with old packages: an update can bring other versions or new packages.

    Raises:
        UserError: a package is missing, or installed in another version than pyproject.toml or constraints.txt ask for.
    """
    wrong = differences(clone, {canonicalize_name(found.name): found.version for found in distributions()})
    if wrong:
        shown = ", ".join(wrong[:SHOWN]) + (", ..." if len(wrong) > SHOWN else "")
        raise UserError(
            f"the installed packages are not those of this commit ({shown}): run `make setup-flows` in {clone}"
        )


def differences(clone: Path, installed: Mapping[str, str]) -> list[str]:
    """List what is missing or has another version, in words, sorted.

    Args:
        installed: versions by normalised name.
    """
    project = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project.get("optional-dependencies", {})
    needed = [*project.get("dependencies", []), *(line for extra in EXTRAS for line in optional.get(extra, []))]
    return sorted({
        *_unfit(_requirements(needed), installed, must_be_there=True),
        *_unfit(_requirements(_pins(clone / "constraints.txt")), installed, must_be_there=False),
    })  # fmt: skip


def _pins(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def _requirements(lines: Iterable[str]) -> list[Requirement]:
    found = [Requirement(line) for line in lines]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def _unfit(needed: Iterable[Requirement], installed: Mapping[str, str], *, must_be_there: bool) -> Iterable[str]:
    for one in needed:
        version = installed.get(canonicalize_name(one.name))
        if version is None and must_be_there:
            yield f"{one.name} is not installed"
        if version is not None and not one.specifier.contains(version, prereleases=True):
            yield f"{one.name} {version} instead of {one.specifier}"
