"""What `Containerfile` says, done in a folder: its RUN lines, user, environment, commands, without a container tool.

Every absolute path of the image is one below that folder. What no folder can show is the base image and the isolation.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source_files import ROOT

PLACES = ("/opt/oddpart", "/src", "/data", "/bundle")  # of the image


def instructions() -> Iterator[tuple[str, str]]:
    """Yield instruction and words, in order; lines that go on are joined."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, words = line.split(maxsplit=1)
            yield instruction, words


@dataclass
class Image:
    """An image that is made in a folder.

    Attributes:
        root: stands for the image's root folder.
        python: interpreter in the place of the base image's, outside of folders that only root may open.
    """

    root: Path
    python: Path

    def inside(self, text: str) -> str:
        """Return words of the Containerfile with paths below the folder."""
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        return text

    def build(self) -> None:
        """Do what COPY, WORKDIR and RUN say, in their order."""
        folder = self.root
        for instruction, words in instructions():
            if instruction == "WORKDIR":
                folder = Path(self.inside(words))
                folder.mkdir(parents=True, exist_ok=True)
            elif instruction == "COPY" and not words.startswith("--from"):
                *sources, target = words.split()
                for source in sources:
                    copy(ROOT / source, folder / target if len(sources) == 1 else folder / target / source)
            elif instruction == "RUN":
                self.run(words, folder)

    def run(self, words: str, folder: Path) -> None:
        """Do what a RUN line says; pip may use its cache."""
        words = self.inside(words).replace(" --no-cache-dir", "")
        for name, ours in (("python", self.python), ("pip", Path(sys.executable).with_name("pip"))):
            words = words.replace(f"{name} -", f"{shlex.quote(str(ours))} -", 1) if words.startswith(name) else words
        if os.getuid() != 0:
            words = words.partition(" && chown ")[0]  # the folder is ours already
        done = subprocess.run(["sh", "-c", words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def words(self, instruction: str) -> str:
        """Return the words of the last such instruction: the one that counts."""
        return [self.inside(words) for name, words in instructions() if name == instruction][-1]

    def command(self, *more: str) -> list[str]:
        """Return what a start of the image runs."""
        return [*json.loads(self.words("ENTRYPOINT")), *json.loads(self.words("CMD")), *more]

    def health_check(self, port: int) -> list[str]:
        """Return what says whether a service on another port is well."""
        _, _, command = self.words("HEALTHCHECK").partition("CMD ")
        assert ":8000/" in command
        return json.loads(command.replace(":8000/", f":{port}/"))  # type: ignore[no-any-return]

    @property
    def user(self) -> dict[str, object]:
        """Who runs it, for `subprocess`: the image's user where we are root, else whoever we are."""
        if os.getuid() != 0:
            return {}
        user, group = map(int, self.words("USER").split(":"))
        return {"user": user, "group": group, "extra_groups": []}

    @property
    def environment(self) -> dict[str, str]:
        """The image's own, and nothing of ours."""
        given = dict(word.split("=", 1) for word in self.words("ENV").split())
        return given | {"PATH": given["PATH"].replace("$PATH", "/usr/bin:/bin"), "HOME": str(self.root / "tmp")}


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder of the repository as .dockerignore lets it pass."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def is_open_to_all(path: Path) -> bool:
    """Whether every user may reach a file."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def interpreter() -> Path | None:
    """Return a Python that every user may run; None where there is none."""
    found = [sys.executable, *filter(None, map(shutil.which, ("python3.12", "python3.11"))), "/usr/bin/python3"]
    return next((Path(one).resolve() for one in found if Path(one).exists() and is_open_to_all(Path(one))), None)
