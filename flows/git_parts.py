"""How the parts of a distributed run travel: as branches of the git remote that worker and coordinator share."""

from collections.abc import Sequence
from pathlib import Path

from flows.commands import checked
from flows.git_transfer import TRYING, Trying, fetch, list_references, push
from stages.core.run.errors import UserError


def switch_to(clone: Path, commit: str, remote: str, *, trying: Trying = TRYING) -> None:
    """Check the commit out, without a branch.

    Raises:
        UserError: the remote does not have it.
    """
    fetch(clone, remote, commit, trying=trying)
    checked(["git", "switch", "--detach", commit], folder=clone, doing=f"switching to {commit}")


def fetch_answer(clone: Path, remote: str, branch: str, *, trying: Trying = TRYING) -> bool:
    """Fetch a branch to FETCH_HEAD, if it is there."""
    reference = f"refs/heads/{branch}"
    if not list_references(clone, remote, reference, trying=trying):
        return False
    fetch(clone, remote, reference, trying=trying)
    return True


def file_at(clone: Path, revision: str, path: str) -> str:
    """A file's text in a revision."""
    return checked(["git", "show", f"{revision}:{path}"], folder=clone, doing=f"reading {path} of {revision}")


def take(clone: Path, revision: str, paths: Sequence[str]) -> None:
    """Bring files of a revision into the working tree; those it does not have stay as they are."""
    if paths:
        command = ["git", "ls-tree", "-r", "-z", "--name-only", revision, "--", *paths]
        there = [path for path in checked(command, folder=clone, doing="listing metrics").split("\0") if path]
        if there:
            checked(["git", "checkout", "--quiet", revision, "--", *there], folder=clone, doing="taking metrics")


def delete_branches(clone: Path, remote: str, prefix: str, *, trying: Trying = TRYING) -> None:
    """Delete the branches of a run from the remote."""
    listed = list_references(clone, remote, f"refs/heads/{prefix}/*", trying=trying)
    if listed:
        push(clone, remote, *(f":{reference}" for reference in listed), trying=trying)


def show_commit(clone: Path, remote: str, branch: str, commit: str, *, trying: Trying = TRYING) -> None:
    """Push a commit as a branch, for the workers to fetch.

    Raises:
        UserError: the remote did not answer.
    """
    try:
        push(clone, remote, f"+{commit}:refs/heads/{branch}", trying=trying)
    except UserError as error:
        raise UserError(f"workers get their commit through the git remote {remote}. {error}") from None
