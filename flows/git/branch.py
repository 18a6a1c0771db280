"""Bring the clone's branch up to date, though runs have committed results to it that nobody else has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flows.dvc.pipeline import LOCK, join_locks, parse_lock, write_lock
from flows.git import remote as git_remote
from flows.git import repository
from flows.git.preflight import OWN_REBASE, git_folders
from flows.git.repository import COMMIT_PREFIX, file_at
from flows.process.commands import RetryPolicy, checked
from stages.core.run.errors import UserError

RESULTS = (LOCK, "metrics")  # only runs write them, so a run can make them again
NOT_RESULTS = (".", *(f":(exclude){path}" for path in RESULTS))


def update(clone: Path, branch: str, remote: str | None, *, retry: RetryPolicy) -> None:
    """Switch to the branch and take what is new on the remote; own commits that the remote lacks go on top.

    Args:
        remote: None leaves the branch as it is here.

    Raises:
        UserError: the remote or the branch is not there, or own commits do not fit onto it.
    """
    if remote is not None:
        git_remote.fetch(clone, remote, branch, retry=retry)
    if branch != checked(["git", "branch", "--show-current"], folder=clone, doing="asking for the branch").strip():
        checked(["git", "switch", branch], folder=clone, doing=f"switching to {branch}")
    if remote is not None:
        if results_on_both_sides(clone) and all(line.startswith(COMMIT_PREFIX) for line in own_commits(clone)):
            _join_results(clone, f"{remote}/{branch}", retry)
        else:
            _rebase(clone, f"{remote}/{branch}", repository.revision(clone, "HEAD"))


def push(clone: Path, branch: str, remote: str, *, retry: RetryPolicy) -> None:
    """Push the branch; if others pushed meanwhile, go on top of their commits and push once more.

    Raises:
        UserError: the remote refused or did not answer, or own commits do not fit onto the others'.
    """
    try:
        git_remote.push(clone, remote, f"refs/heads/{branch}", retry=retry)
    except git_remote.BranchBehind:
        git_remote.fetch(clone, remote, branch, retry=retry)
        if results_on_both_sides(clone):
            raise UserError(f"{remote}/{branch} got other results during the run: the next run joins them") from None
        repository.refuse_dirty(clone)  # a rebase that fails is undone, and with it what a person has staged
        retry.warn(f"commits came to {remote}/{branch} during the run: they go below its own, the next run tries them")
        _rebase(clone, f"{remote}/{branch}", repository.revision(clone, "HEAD"))
        git_remote.push(clone, remote, f"refs/heads/{branch}", retry=retry)


def results_on_both_sides(clone: Path) -> bool:
    """Return whether dvc.lock or metrics changed here and on the fetched branch since both were one.

    Git would join them line by line, with a conflict each night until somebody resets the clone, or as broken YAML.
    """
    return bool(_changed(clone, "HEAD...FETCH_HEAD", RESULTS) and _changed(clone, "FETCH_HEAD...HEAD", RESULTS))


def own_commits(clone: Path) -> list[str]:
    """List subjects of the commits that the fetched branch lacks."""
    command = ["git", "log", "--format=%s", "FETCH_HEAD..HEAD"]
    return checked(command, folder=clone, doing="listing own commits").splitlines()


def _changed(clone: Path, between: str, paths: tuple[str, ...]) -> list[str]:
    """List files that differ; "A...B" asks what B changed since it parted from A."""
    command = ["git", "diff", "--name-only", "-z", between, "--", *paths]
    return [path for path in checked(command, folder=clone, doing="looking for changes").split("\0") if path]


def _join_results(clone: Path, name: str, retry: RetryPolicy) -> None:
    """Join by stage and by file, in one commit: the branch's version where it changed one, else that of own commits.

    What then does not fit together differs from dvc.lock, so the run makes it again. What own commits changed in
    addition to results (halved batch sizes) is joined by git.
    """
    before, own = repository.revision(clone, "HEAD"), own_commits(clone)
    base = checked(["git", "merge-base", before, "FETCH_HEAD"], folder=clone, doing="looking for the root").strip()
    retry.warn(
        f"{name} brings results of its own: they count where it and {len(own)} commits of earlier runs here (up to "
        f"{before[:10]}) both changed a stage; what does not fit together is made again"
    )
    others = _changed(clone, f"{base}..{before}", NOT_RESULTS)
    theirs = _changed(clone, f"{base}..FETCH_HEAD", RESULTS)
    kept = [path for path in _changed(clone, f"{base}..{before}", RESULTS) if path not in (LOCK, *theirs)]
    locks = [_lock_at(clone, revision) for revision in (base, before, "FETCH_HEAD")]
    checked(["git", "reset", "--quiet", "--hard", base], folder=clone, doing="taking own commits apart")
    _commit_files(clone, before, others, own)
    _rebase(clone, name, before)
    if LOCK in theirs:
        write_lock(clone, join_locks(*locks))
    else:
        kept.append(LOCK)
    _commit_files(clone, before, kept, own)


def _lock_at(clone: Path, revision: str) -> dict[str, Any]:
    there = checked(["git", "ls-tree", revision, LOCK], folder=clone, doing=f"looking for {LOCK}")
    return parse_lock(file_at(clone, revision, LOCK)) if there else {}


def _commit_files(clone: Path, revision: str, paths: Sequence[str], own: Sequence[str]) -> None:
    """Commit files as they are in another revision, with dvc.lock as it lies here."""
    if paths:
        command = ["git", "restore", "--staged", "--worktree", f"--source={revision}", "--", *paths]
        checked(command, folder=clone, doing="keeping what earlier runs changed")
    repository.commit(clone, [LOCK, *paths], "\n".join([f"{COMMIT_PREFIX}keep what earlier runs changed", "", *own]))


@contextmanager
def _marked_rebase(clone: Path) -> Iterator[None]:
    """Leave a file while the block runs, by which the next run knows a rebase of a killed one: it may undo that."""
    marker = git_folders(clone)[0] / OWN_REBASE
    revisions = [repository.revision(clone, name) for name in ("HEAD", "FETCH_HEAD")]
    marker.write_text(" ".join(revisions), encoding="utf-8")
    yield
    marker.unlink()


def _rebase(clone: Path, name: str, before: str) -> None:
    """Put own commits on top of the fetched branch; if they do not fit, everything is as before."""
    try:
        with _marked_rebase(clone):
            checked(["git", *repository.identity(clone), "rebase", "FETCH_HEAD"], folder=clone, doing=f"taking {name}")
    except UserError as error:
        with suppress(UserError):  # it did not begin
            checked(["git", "rebase", "--abort"], folder=clone, doing="going back")
        (git_folders(clone)[0] / OWN_REBASE).unlink(missing_ok=True)
        checked(["git", "reset", "--quiet", "--hard", before], folder=clone, doing="going back")
        raise UserError(
            f"commits of this clone do not fit onto {name}: merge them by hand in {clone}, or drop them "
            f"with `git reset --hard {name}` (their outputs stay in DVC's cache). {error}"
        ) from None
