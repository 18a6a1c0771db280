"""A clone of this repository in which a recipe runs the pipeline with params of its own."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)


def prepare_clone(folder: Path) -> Path:
    """Make or update a clone at the last commit that shares this repository's DVC cache.

    Outputs of earlier runs stay.
    """
    if not folder.exists():
        command("git", "clone", "--quiet", "--no-checkout", ".", str(folder))
    lock = folder / "dvc.lock"
    of_earlier_runs = usable_lock(lock)
    command("git", "fetch", "--quiet", "origin", cwd=folder)
    command("git", "checkout", "--quiet", "--force", "--detach", answer("git", "rev-parse", "HEAD"), cwd=folder)
    command(sys.executable, "-m", "dvc", "cache", "dir", "--local", str(Path(".dvc/cache").resolve()), cwd=folder)
    if of_earlier_runs is not None:
        lock.write_bytes(of_earlier_runs)
    return folder


def usable_lock(path: Path) -> bytes | None:
    """The content of a dvc.lock; None without one, and with a warning where DVC was killed while it wrote it."""
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        whole = "stages" in (yaml.safe_load(content) or {})
    except (yaml.YAMLError, TypeError):
        whole = False
    if not whole:
        LOG.warning("%s is damaged, a run was killed while it was written: stages that only it knew run again", path)
    return content if whole else None


def switch_methods(params: dict[str, Any], methods: Mapping[str, Mapping[str, Any]]) -> None:
    """Switch on these entries of `methods:`, with the values given, on all products and all others off, in place.

    Raises:
        UserError: params.yaml has no such method.
    """
    if unknown := sorted(set(methods) - set(params["methods"])):
        raise UserError(
            f"params.yaml: methods: there is no {', '.join(unknown)}: known are {', '.join(params['methods'])}"
        )
    for name, entry in params["methods"].items():
        empty = {key: type(value)() for key, value in entry.items() if key not in ("stages", "needs")}
        entry |= {**empty, **({"categories": params["categories"], **methods[name]} if name in methods else {})}


def evaluate(clone: Path, categories: Sequence[str]) -> None:
    """Run what the methods that are on need on these products, and judge them.

    Raises:
        UserError: a stage failed.
    """
    command(sys.executable, "-m", "dvc", "repro", *(f"evaluation@{category}" for category in categories), cwd=clone)


def answer(*words: str, cwd: Path | None = None) -> str:
    """What a command prints.

    Raises:
        UserError: it failed; the message has what it wrote to its error stream.
    """
    done = subprocess.run(words, cwd=cwd, env=environment(), check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"`{' '.join(words)}` failed with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def command(*words: str, cwd: Path | None = None) -> None:
    """Run a command whose output is for the user.

    Raises:
        UserError: it failed; what it printed says why.
    """
    done = subprocess.run(words, cwd=cwd, env=environment(), check=False)
    if done.returncode:
        raise UserError(f"`{' '.join(words)}` failed with code {done.returncode}, see above")


def environment() -> dict[str, str]:
    """The environment with this interpreter first on the path: DVC calls `python`."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
