"""What would make git fail after hours of work is found before it, or repaired."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.git import branch, remote, repository
from flows.git.preflight import OWN_REBASE, STALE_LOCK_SECONDS, preflight
from flows.process.commands import RetryPolicy, checked
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class Clone:
    root: Path

    def git(self, *arguments: str, may_fail: bool = False) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.root, check=not may_fail, capture_output=True, text=True)
        return done.stdout

    def commit(self, text: str) -> None:
        (self.root / "file").write_text(text)
        self.git("add", "file")
        self.git("commit", "-qm", text)

    def hook(self, name: str, script: str) -> None:
        path = self.root / ".git/hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone with two branches that both changed the same line; the other one is also FETCH_HEAD."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr("flows.git.preflight.PATIENCE_SECONDS", 0.1)
    made = Clone(tmp_path / "clone")
    made.root.mkdir()
    made.git("init", "-q", "-b", "main")
    for key in ("user.name", "user.email"):
        made.git("config", key, "t@localhost")
    made.commit("start")
    made.git("branch", "other")
    made.commit("ours")
    made.git("switch", "-q", "other")
    made.commit("theirs")
    made.git("switch", "-q", "main")
    made.git("fetch", "-q", ".", "other")
    return made


def test_a_clone_that_is_ready_passes_unchanged(clone: Clone) -> None:
    files = sorted((clone.root / ".git").rglob("*"))
    clone.hook("pre-commit", "exit 0")
    clone.hook("commit-msg", 'grep -q "^nightly: " "$1"')
    preflight(clone.root, remote="origin", branch="feature/x-1", baseline="baseline")
    assert {path.name for path in (clone.root / ".git").rglob("*") if path not in files} <= {"pre-commit", "commit-msg"}
    assert clone.git("status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock", "refs/heads/main.lock"])
def test_a_lock_that_a_killed_git_left_is_deleted_once_it_is_old(
    clone: Clone, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    lock = clone.root / ".git" / name
    lock.touch()
    with pytest.raises(UserError, match=rf"{name} is in the way, 0 minutes old, and no git is at work here: .* 60 min"):
        preflight(clone.root)
    old = time.time() - STALE_LOCK_SECONDS - 60
    os.utime(lock, (old, old))
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=clone.root, stdin=subprocess.PIPE) as process:
        with pytest.raises(UserError, match=rf"61 minutes old, and git is at work here .process {process.pid}."):
            preflight(clone.root)
        process.kill()
    preflight(clone.root)
    assert not lock.exists()
    assert f"{name} is 61 minutes old and no git is at work here: deleted" in caplog.text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("rebase", "other"), "a rebase is unfinished .*`git rebase --continue`, or `git rebase --abort`"),
        (("rebase", "--apply", "other"), "a rebase is unfinished"),
        (("merge", "other"), "a merge is unfinished"),
        (("cherry-pick", "other"), "a cherry-pick is unfinished"),
        (("revert", "--no-commit", "HEAD"), "a revert is unfinished"),
        (("bisect", "start"), "a bisect is unfinished .*`git bisect reset`"),
    ],
)
def test_what_a_person_began_is_named_and_left_alone(clone: Clone, command: tuple[str, ...], said: str) -> None:
    clone.git(*command, may_fail=True)
    before = clone.git("status", "--porcelain")
    with pytest.raises(UserError, match=said):
        preflight(clone.root)
    assert clone.git("status", "--porcelain") == before


def test_a_rebase_that_a_killed_run_began_is_undone(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    head = clone.git("rev-parse", "HEAD")
    with monkeypatch.context() as killed:

        def kill(command: list[str], **options: object) -> str:
            if "rebase" in command:
                clone.git("rebase", "FETCH_HEAD", may_fail=True)
                raise KeyboardInterrupt
            return checked(command, **options)  # type: ignore[arg-type]

        killed.setattr("flows.git.branch.checked", kill)
        with pytest.raises(KeyboardInterrupt):
            branch._rebase(clone.root, "origin/main", head.strip())
    assert (clone.root / ".git/rebase-merge").exists()
    preflight(clone.root)
    assert "killed within a rebase" in caplog.text
    assert (clone.git("rev-parse", "HEAD"), clone.git("status", "--porcelain")) == (head, "")
    assert clone.git("branch", "--show-current").strip() == "main"
    assert not (clone.root / ".git" / OWN_REBASE).exists()
    (clone.root / ".git" / OWN_REBASE).write_text("of another rebase")
    clone.git("rebase", "other", may_fail=True)
    with pytest.raises(UserError, match="a rebase is unfinished"):
        preflight(clone.root)


def test_hooks_signatures_and_names_are_found_together(clone: Clone) -> None:
    clone.hook("pre-commit", "echo pre-commit: not found >&2; exit 127")
    clone.git("config", "commit.gpgSign", "true")
    clone.git("config", "gpg.program", "/nonexistent")
    with pytest.raises(UserError) as raised:
        preflight(clone.root, remote="--upload-pack=touch x", branch="-b", baseline="ok")
    head, *findings = str(raised.value).split("\n- ")
    assert head == f"{clone.root} is not ready for a scheduled run:"
    name, origin, signing, hook = findings
    assert name == "branch '-b' is no name that git takes"
    assert origin == "git remote '--upload-pack=touch x' is no name or address of a remote"
    assert signing.startswith("signing, which commit.gpgSign asks for")
    assert hook.startswith("trying the hook pre-commit failed")
    assert "not found (repair it, or `git config core.hooksPath /dev/null`" in hook


def test_a_hook_that_does_not_start_is_found(clone: Clone) -> None:
    clone.hook("commit-msg", "")
    (clone.root / ".git/hooks/commit-msg").write_text("#!/nonexistent/python\n")
    with pytest.raises(UserError, match="commit-msg does not start: .*No such file"):
        preflight(clone.root)


def test_a_committer_that_git_refuses_is_found(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_NAME", "<>")
    with pytest.raises(UserError, match="asking for the committer failed"):
        preflight(clone.root)


@pytest.mark.parametrize("address", ["--upload-pack=touch pwned", "https://me:s3cret@127.0.0.1:1/x"])
def test_a_remote_is_no_option_and_shows_no_password(clone: Clone, address: str) -> None:
    warnings: list[str] = []
    retry = RetryPolicy(retries=1, delay_seconds=0, warn=warnings.append)
    calls = (
        lambda: remote.fetch(clone.root, address, "main", retry=retry),
        lambda: remote.push(clone.root, address, "refs/heads/main", retry=retry),
        lambda: remote.list_references(clone.root, address, "*", retry=retry),
        lambda: branch.update(clone.root, "main", address, retry=retry),
    )
    for call in calls:
        with pytest.raises(UserError, match="no name or address|has a password in its address") as raised:
            call()
        assert "s3cret" not in str(raised.value)
    assert warnings == []
    assert not (clone.root / "pwned").exists()


def test_the_password_of_a_named_remote_is_in_no_text(clone: Clone) -> None:
    clone.git("remote", "add", "origin", "https://me:s3cret@127.0.0.1:1/x")
    warnings: list[str] = []
    with pytest.raises(UserError, match="127.0.0.1") as raised:
        remote.fetch(clone.root, "origin", "main", retry=RetryPolicy(1, 0, warnings.append))
    assert len(warnings) == 1
    assert "s3cret" not in str(raised.value) + warnings[0]


def test_a_persons_staged_file_survives_a_push_that_needs_a_rebase(clone: Clone, tmp_path: Path) -> None:
    clone.git("clone", "-q", "--bare", ".", str(tmp_path / "remote"))
    clone.git("remote", "add", "origin", str(tmp_path / "remote"))
    clone.git("push", "-q", "--force", "origin", "other:main")
    (clone.root / "secret.key").touch()
    clone.git("add", "secret.key")
    with pytest.raises(UserError, match="changes that are not committed .A secret.key."):
        branch.push(clone.root, "main", "origin", retry=RetryPolicy(0, 0))
    assert clone.git("status", "--porcelain") == "A  secret.key\n"
    assert repository.changes(clone.root) == {"secret.key": "A"}
