"""Bring the clone's branch up to date, though runs have committed results to it that nobody else has."""

from contextlib import suppress
from pathlib import Path

from flows import git, git_transfer
from flows.commands import checked
from flows.git_transfer import Trying
from flows.summary import COMMIT_PREFIX
from stages.core.running.errors import UserError

RESULTS = ("dvc.lock", "metrics")  # only runs write them, so a run can make them again
NOT_RESULTS = (".", *(f":(exclude){path}" for path in RESULTS))


def update(clone: Path, branch: str, remote: str | None, *, trying: Trying) -> None:
    """Switch to the branch and take what is new on the remote; own commits that the remote lacks go on top.

    Args:
        remote: None leaves the branch as it is here.

    Raises:
        UserError: the remote or the branch is not there, or own commits do not fit onto it.
    """
    if remote is not None:
        git_transfer.fetch(clone, remote, branch, trying=trying)
    if branch != checked(["git", "branch", "--show-current"], folder=clone, doing="asking for the branch").strip():
        checked(["git", "switch", branch], folder=clone, doing=f"switching to {branch}")
    if remote is not None:
        if results_on_both_sides(clone) and all(line.startswith(COMMIT_PREFIX) for line in own_commits(clone)):
            _give_way(clone, f"{remote}/{branch}", trying)
        else:
            _rebase(clone, f"{remote}/{branch}", git.revision(clone, "HEAD"))


def push(clone: Path, branch: str, remote: str, *, trying: Trying) -> None:
    """Push the branch; if others pushed meanwhile, go on top of their commits and push once more.

    Raises:
        UserError: the remote refused or did not answer, or own commits do not fit onto the others'.
    """
    try:
        git_transfer.push(clone, remote, f"refs/heads/{branch}", trying=trying)
    except git_transfer.BranchBehind:
        git_transfer.fetch(clone, remote, branch, trying=trying)
        if results_on_both_sides(clone):
            raise UserError(
                f"{remote}/{branch} got other results during the run: the next run starts from them"
            ) from None
        trying.tell(f"commits came to {remote}/{branch} during the run: they go below its own, the next run tries them")
        _rebase(clone, f"{remote}/{branch}", git.revision(clone, "HEAD"))
        git_transfer.push(clone, remote, f"refs/heads/{branch}", trying=trying)


def results_on_both_sides(clone: Path) -> bool:
    """Whether dvc.lock or metrics changed here and on the fetched branch since both were one.

    Git would join them line by line; what comes out is no run's result, and often no YAML either.
    """
    return bool(_changed(clone, "HEAD...FETCH_HEAD", RESULTS) and _changed(clone, "FETCH_HEAD...HEAD", RESULTS))


def own_commits(clone: Path) -> list[str]:
    """Subjects of the commits that the fetched branch lacks."""
    command = ["git", "log", "--format=%s", "FETCH_HEAD..HEAD"]
    return checked(command, folder=clone, doing="listing own commits").splitlines()


def _changed(clone: Path, between: str, paths: tuple[str, ...]) -> list[str]:
    """Files that differ; "A...B" asks what B changed since it parted from A."""
    command = ["git", "diff", "--name-only", "-z", between, "--", *paths]
    return [path for path in checked(command, folder=clone, doing="looking for changes").split("\0") if path]


def _give_way(clone: Path, name: str, trying: Trying) -> None:
    """Take the branch's results. What else own commits changed (halved batch sizes) goes on top, as one commit."""
    before, own = git.revision(clone, "HEAD"), own_commits(clone)
    others = _changed(clone, "FETCH_HEAD...HEAD", NOT_RESULTS)
    trying.tell(
        f"{name} brings results of its own: {len(own)} commits of earlier runs, up to {before[:10]}, give way to them; "
        "what they recorded is made again, mostly from DVC's run-cache"
    )
    base = checked(["git", "merge-base", "HEAD", "FETCH_HEAD"], folder=clone, doing="looking for the common commit")
    checked(["git", "reset", "--quiet", "--hard", base.strip()], folder=clone, doing="dropping own results")
    if others:
        checked(["git", "checkout", "--quiet", before, "--", *others], folder=clone, doing="keeping own params")
        git.commit(clone, others, f"{COMMIT_PREFIX}keep what earlier runs changed\n\n" + "\n".join(own))
    _rebase(clone, name, before)


def _rebase(clone: Path, name: str, before: str) -> None:
    """Put own commits on top of the fetched branch; if they do not fit, everything is as before."""
    try:
        checked(["git", *git.identity(clone), "rebase", "FETCH_HEAD"], folder=clone, doing=f"taking {name}")
    except UserError as error:
        with suppress(UserError):  # it did not begin
            checked(["git", "rebase", "--abort"], folder=clone, doing="going back")
        checked(["git", "reset", "--quiet", "--hard", before], folder=clone, doing="going back")
        raise UserError(
            f"commits of this clone do not fit onto {name}: merge them by hand in {clone}, or drop them "
            f"with `git reset --hard {name}` (their outputs stay in DVC's cache). {error}"
        ) from None
