"""A clone of this repository in which a benchmark runs the pipeline with params of its own."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import yaml

from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)


def prepare_clone(folder: Path) -> Path:
    """A clone of this repository at its last commit that shares its DVC cache; outputs of earlier runs stay."""
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
        LOG.warning("%s was left damaged by a run that was killed: stages that it alone knew run again", path)
    return content if whole else None


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
    """With this interpreter first on the path: DVC calls `python`."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
