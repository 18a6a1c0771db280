"""What runs commit, and what is found out about a clone before the work."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.git import repository


@dataclass(frozen=True)
class Clone:
    """A repository with one commit, and a home folder of its own for git."""

    root: Path
    home: Path

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True).stdout

    def write(self, name: str, text: str = "1") -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def committed(self) -> list[str]:
        return self.git("show", "--name-only", "--no-renames", "--format=", "HEAD").split()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    for role in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{what}", raising=False)
    monkeypatch.delenv("EMAIL", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "home/gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Clone(tmp_path / "clone", tmp_path / "home")
    made.home.mkdir()
    made.root.mkdir()
    made.git("init", "-q", "-b", "main")
    for name in ("dvc.lock", "metrics/a/old.svg", "code.py"):
        made.write(name, "0")
    made.git("add", "-A")
    made.git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "start")
    return made


def test_what_a_person_staged_is_not_committed(clone: Clone) -> None:
    clone.write("secret.key")
    clone.write("code.py")
    clone.git("add", "secret.key", "code.py")
    clone.write("dvc.lock")
    clone.write("metrics/a/new.svg")
    (clone.root / "metrics/a/old.svg").unlink()
    assert repository.commit(clone.root, ["dvc.lock", "metrics/a", "metrics/none"], "nightly: 1 stage ran")
    assert clone.committed() == ["dvc.lock", "metrics/a/new.svg", "metrics/a/old.svg"]
    assert clone.git("status", "--porcelain") == "M  code.py\nA  secret.key\n"
    assert not repository.commit(clone.root, ["dvc.lock", "metrics/a"], "again")
    assert not repository.commit(clone.root, [], "nothing")


def test_names_are_no_patterns_and_a_deleted_file_is_recorded(clone: Clone) -> None:
    clone.write("metrics/[a]", "0")
    clone.write("code.py")
    clone.git("rm", "-q", "metrics/a/old.svg")
    assert repository.commit(clone.root, ["metrics/[a]", "*.py", "metrics/a/old.svg"], "nightly: 1 stage ran")
    assert clone.committed() == ["metrics/[a]", "metrics/a/old.svg"]


def test_a_users_gitignore_keeps_no_result_out(clone: Clone) -> None:
    clone.write("../home/ignore", "*.svg\n")
    clone.git("config", "core.excludesFile", str(clone.home / "ignore"))
    clone.write(".gitignore", "*.tmp\n")
    clone.git("add", ".gitignore")
    clone.write("metrics/b/new.svg")
    clone.write("metrics/b/x.tmp")
    assert repository.commit(clone.root, ["metrics/b"], "nightly: 1 stage ran")
    assert clone.committed() == ["metrics/b/new.svg"]


@pytest.mark.parametrize(("key", "other"), [("user.name", repository.EMAIL), ("user.email", repository.NAME)])
def test_half_a_committer_is_completed(clone: Clone, key: str, other: str) -> None:
    clone.git("config", "user.useConfigOnly", "true")
    clone.git("config", key, "t@localhost")
    clone.write("dvc.lock")
    assert repository.commit(clone.root, ["dvc.lock"], "nightly: 1 stage ran")
    assert set(clone.git("log", "-1", "--format=%cn%n%ce").split("\n")) == {"t@localhost", other, ""}
