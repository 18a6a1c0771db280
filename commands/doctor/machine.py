"""Checks of the machine and of what is installed on it."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from commands.doctor.findings import Finding, Level
from commands.verbs import BY_ITSELF, install_command

OLDEST_PYTHON = (3, 11)
LITTLE_MEMORY, LITTLE_DISK, NO_DISK = 4.0, 10.0, 1.0  # GB; a stage takes up to 1.9 GB of memory
GIGABYTE = 1e9
PACKAGE = "oddpart"
SOURCE = Path(__file__).parents[2] / "pyproject.toml"
EXTRAS = {"train": "training and evaluation", "foundation": "the proposer `foundation`", "flows": "scheduled runs"}
NAME = re.compile(r"[A-Za-z0-9._-]+")
MARKED = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
NAMED = 4  # missing packages in a line


def check_python() -> Iterator[Finding]:
    """Python's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("fail", f"Python {version}", "3.11 or newer is needed: `make PYTHON=python3.12 setup`")
    else:
        yield Finding("ok", f"Python {version} ({sys.executable})")


def check_machine() -> Iterator[Finding]:
    """Cores that this process may use, and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    what = f"{cores} cores, {gigabytes:.0f} GB of memory"
    if gigabytes < LITTLE_MEMORY:
        yield Finding("warn", what, f"training may need {LITTLE_MEMORY:.0f} GB")
    else:
        yield Finding("ok", what)


def check_disk() -> Iterator[Finding]:
    """Free space where the current folder lies."""
    free = shutil.disk_usage(".").free / GIGABYTE
    what = f"{free:.0f} GB free on the disk of {Path.cwd()}"
    if free < NO_DISK:
        yield Finding("fail", what, "free some space: `dvc gc --workspace` deletes old versions from DVC's cache")
    elif free < LITTLE_DISK:
        yield Finding("warn", what, "a product with many pictures may need more")
    else:
        yield Finding("ok", what)


def check_packages() -> Iterator[Finding]:
    """The packages of the base installation and of each extra."""
    required = requirements()
    for extra, purpose in {"": "the commands", **EXTRAS}.items():
        names = required.get(extra, [])
        missing = [name for name in names if not is_installed(name)]
        what = f"packages for {purpose}"
        if not missing:
            yield Finding("ok", f"{what}: {len(names)} installed")
            continue
        shown = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        level: Level = "fail" if not extra or (extra == "train" and Path("dvc.yaml").exists()) else "warn"
        yield Finding(level, f"{what}: {len(missing)} of {len(names)} missing ({shown})", f"`{install_command(extra)}`")


def requirements() -> dict[str, list[str]]:
    """Return the required packages' names by extra, "" for the base; from the sources where this runs from them."""
    found = declared_requirements()
    found["foundation"] = [*found.get("foundation", []), BY_ITSELF]
    return found


def declared_requirements() -> dict[str, list[str]]:
    """Read what pyproject.toml lists, or the metadata that an installation made of it."""
    if SOURCE.is_file():
        project = tomllib.loads(SOURCE.read_text(encoding="utf-8"))["project"]
        groups = {"": project["dependencies"], **project["optional-dependencies"]}
        return {extra: [package_name(line) for line in lines] for extra, lines in groups.items()}
    found: dict[str, list[str]] = {}
    for line in importlib.metadata.requires(PACKAGE) or []:
        marker = MARKED.search(line)
        found.setdefault(marker[1] if marker else "", []).append(package_name(line))
    return found


def package_name(requirement: str) -> str:
    """The name that a requirement begins with."""
    match = NAME.match(requirement)
    return match[0] if match else requirement


def is_installed(name: str) -> bool:
    """Return whether a package is installed; nothing is imported."""
    if name == BY_ITSELF:  # its sources install it under another name
        return importlib.util.find_spec("groundingdino") is not None
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
