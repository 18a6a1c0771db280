"""Keeping a clone's branch up to date: retries, others' pushes during a run, and results on both sides."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from flows.git import branch, remote, repository
from flows.git.remote import BranchBehind
from flows.process.commands import RetryPolicy
from stages.core.run.errors import UserError


def lock(**stages: int) -> str:
    """A dvc.lock whose entries differ by a number."""
    return yaml.safe_dump({"schema": "2.0", "stages": {name: {"cmd": str(run)} for name, run in stages.items()}})


START = {"dvc.lock": lock(a=0, b=0), "metrics/a": "0", "metrics/b": "0", "code": "0", "params": "batch: 8\n"}


@dataclass(frozen=True)
class Clone:
    """One of several clones of the same remote."""

    root: Path
    warnings: list[str] = field(default_factory=list)

    @property
    def retry(self) -> RetryPolicy:
        return RetryPolicy(retries=2, delay_seconds=0, warn=self.warnings.append)

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True).stdout

    def commit(self, subject: str, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", subject)

    def state(self) -> tuple[str, str, str]:
        """What could be spoilt: the commits, the changes, and a rebase that was not ended."""
        in_rebase = (self.root / ".git/rebase-merge").exists()
        return self.git("log", "--format=%s"), self.git("status", "--porcelain"), str(in_rebase)

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def update(self) -> None:
        branch.update(self.root, "main", "origin", retry=self.retry)

    def push(self) -> None:
        branch.push(self.root, "main", "origin", retry=self.retry)


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Clone, Clone]:
    """The clone of scheduled runs and a developer's."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "t")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@localhost")
    nightly, developer = Clone(tmp_path / "nightly"), Clone(tmp_path / "developer")
    nightly.root.mkdir()
    nightly.git("init", "-q", "-b", "main")
    nightly.commit("start", START)
    nightly.git("clone", "-q", "--bare", ".", str(tmp_path / "remote"))
    nightly.git("remote", "add", "origin", str(tmp_path / "remote"))
    nightly.git("clone", "-q", str(tmp_path / "remote"), str(developer.root))
    return nightly, developer


def test_own_results_go_on_top_of_a_developers_code(clones: tuple[Clone, Clone]) -> None:
    nightly, developer = clones
    nightly.commit("nightly: 1 stage ran", {"dvc.lock": lock(a=1, b=0), "metrics/a": "1"})
    developer.commit("code", {"code": "1"})
    developer.push()
    nightly.update()
    assert nightly.state() == ("nightly: 1 stage ran\ncode\nstart\n", "", "False")
    assert nightly.warnings == []


def test_results_of_both_sides_are_joined_by_stage_and_file(clones: tuple[Clone, Clone]) -> None:
    nightly, developer = clones
    nightly.commit("nightly: 1 stage ran", {"dvc.lock": lock(a=1, b=1), "metrics/a": "1", "params": "batch: 4\n"})
    nightly.commit("nightly: 2 stages ran", {"dvc.lock": lock(a=1, b=2), "metrics/b": "2", "metrics/new": "2"})
    (developer.root / "metrics/a").unlink()  # a product that was removed: git calls this a conflict, too
    developer.commit("results", {"dvc.lock": lock(a=0, b=3, c=3), "metrics/c": "3"})
    developer.push()
    nightly.update()
    kept = "nightly: keep what earlier runs changed\n"
    assert nightly.state() == (f"{kept}{kept}results\nstart\n", "", "False")
    joined = {name: stage["cmd"] for name, stage in yaml.safe_load(nightly.read("dvc.lock"))["stages"].items()}
    assert joined == {"a": "1", "b": "3", "c": "3"}
    assert nightly.read("params") == "batch: 4\n"
    metrics = {path.name: path.read_text() for path in (nightly.root / "metrics").iterdir()}
    assert metrics == {"b": "2", "c": "3", "new": "2"}
    assert "origin/main brings results of its own: they count where it and 2 commits" in nightly.warnings[0]
    nightly.update()  # nothing is left to join
    assert len(nightly.warnings) == 1


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ("by hand", {"dvc.lock": lock(a=3, b=0)}),  # a person's commit is a person's to merge
        ("nightly: 1 stage ran", {"dvc.lock": lock(a=3, b=0), "params": "batch: 16\n"}),
    ],
)
def test_what_does_not_fit_is_an_error_and_changes_nothing(
    clones: tuple[Clone, Clone], own: str, theirs: dict[str, str]
) -> None:
    nightly, developer = clones
    nightly.commit(own, {"dvc.lock": lock(a=1, b=0), "params": "batch: 4\n"})
    developer.commit("theirs", theirs)
    developer.push()
    before = nightly.state()
    with pytest.raises(UserError, match=r"do not fit onto origin/main: merge them by hand"):
        nightly.update()
    assert nightly.state() == before


def test_a_developers_push_during_the_run_goes_below_its_results(clones: tuple[Clone, Clone]) -> None:
    nightly, developer = clones
    nightly.commit("nightly: 1 stage ran", {"dvc.lock": lock(a=1, b=0)})
    developer.commit("code", {"code": "1"})
    developer.push()
    nightly.push()
    assert nightly.git("ls-remote", "origin", "refs/heads/main").split()[0] == nightly.git("rev-parse", "HEAD").strip()
    assert nightly.state() == ("nightly: 1 stage ran\ncode\nstart\n", "", "False")
    assert len(nightly.warnings) == 1  # a clear no is not asked for again


def test_others_results_during_the_run_are_joined_by_the_next_run(
    clones: tuple[Clone, Clone],
) -> None:
    nightly, developer = clones
    nightly.commit("nightly: 1 stage ran", {"dvc.lock": lock(a=1, b=0)})
    developer.commit("results", {"dvc.lock": lock(a=3, b=0)})
    developer.push()
    before = nightly.state()
    with pytest.raises(UserError, match="origin/main got other results during the run"):
        nightly.push()
    assert nightly.state() == before
    nightly.update()
    assert nightly.state() == ("results\nstart\n", "", "False")


def test_a_remote_that_does_not_answer_is_asked_again(clones: tuple[Clone, Clone]) -> None:
    nightly, _ = clones
    folder = nightly.root.with_name("remote")
    folder.rename(folder.with_name("away"))
    with pytest.raises(UserError, match="fetching main failed"):
        nightly.update()
    assert [text.partition(":")[0] for text in nightly.warnings] == [
        "again in 0 s (try 2 of 3)",
        "again in 0 s (try 3 of 3)",
    ]
    back = RetryPolicy(1, delay_seconds=0, warn=lambda text: folder.with_name("away").rename(folder) and None)
    remote.push(nightly.root, "origin", "refs/heads/main", retry=back)


def test_a_clear_no_is_not_asked_for_again(clones: tuple[Clone, Clone]) -> None:
    nightly, developer = clones
    with pytest.raises(UserError, match="couldn't find remote ref nowhere"):
        remote.fetch(nightly.root, "origin", "nowhere", retry=nightly.retry)
    developer.commit("code", {"code": "1"})
    developer.push()
    nightly.commit("nightly: 1 stage ran", {"metrics/a": "1"})
    with pytest.raises(BranchBehind):
        remote.push(nightly.root, "origin", "refs/heads/main", retry=nightly.retry)
    assert nightly.warnings == []


def test_a_shared_tag_is_taken_from_the_remote(clones: tuple[Clone, Clone]) -> None:
    nightly, developer = clones
    remote.fetch_tag(nightly.root, "origin", "baseline")  # there is none yet
    nightly.git("tag", "-a", "-m", "passed", "baseline")
    developer.commit("code", {"code": "1"})
    developer.push()
    developer.git("tag", "-a", "-m", "accepted", "baseline")
    remote.push(developer.root, "origin", "refs/tags/baseline")
    remote.fetch_tag(nightly.root, "origin", "baseline")
    assert repository.revision(nightly.root, "baseline") == repository.revision(developer.root, "HEAD")
