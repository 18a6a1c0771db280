"""A copy of this repository in which DVC runs for real."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.params_files import change_params, copy_test_profiles, read_params

REPOSITORY = Path(__file__).parents[2]
LEFT_BEHIND = ("dvc.lock", "metrics/", "data/samples/")


@dataclass(frozen=True)
class Workspace:
    """A git and DVC repository with one tiny category under profile `smoke`."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """This interpreter first on the PATH; DVC calls `python`."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "DVC_STUDIO_OFFLINE": "1", "CI": "true"}

    def run(self, *command: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
        """Run a module of the repository, which must succeed, and return what it printed in 200 columns."""
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=self.root, text=True, check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**self.environment, **environment, "COLUMNS": "200"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def dvc(self, *arguments: str, check: bool = True) -> str:
        """Run dvc, whose stages do not import the same libraries again, and return what it printed."""
        command = [sys.executable, "-m", "tests.end_to_end.forking_dvc", "dvc", *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment, text=True, capture_output=True, check=False)
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        return output

    def command(self, *arguments: str) -> list[str]:
        """dvc of this environment."""
        return [sys.executable, "-m", "dvc", *arguments]

    def stages_run(self, *arguments: str) -> set[str]:
        """The stages that `dvc repro` executed."""
        return set(re.findall(r"Running stage '([^']+)'", self.dvc("repro", *arguments)))

    def params(self) -> dict[str, Any]:
        """What params.yaml holds, and below `profiles` each profile."""
        return read_params(self.root)

    def set_params(self, changes: dict[str, Any]) -> None:
        """Set dotted keys."""
        change_params(self.root, changes)


def copy_repository(root: Path) -> Workspace:
    """Copy what git tracks or would track, without results and samples, into a new repository at `root`."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, text=True, capture_output=True, check=True
    )
    for name in listed.stdout.splitlines():
        if not name.startswith(LEFT_BEHIND) and (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    copy_test_profiles(root)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["git", "init", "-q"], ["git", "add", "-A"], [*git, "commit", "-qm", "copy"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return Workspace(root)
