"""How the parts of a distributed run travel: as branches of the git remote that worker and coordinator share."""

from collections.abc import Sequence
from pathlib import Path

from flows.commands import checked
from stages.core.running.errors import UserError


def switch_to(clone: Path, commit: str, remote: str) -> None:
    """Check the commit out, without a branch.

    Raises:
        UserError: the remote does not have it.
    """
    checked(["git", "fetch", "--no-tags", remote, commit], folder=clone, doing=f"fetching {commit}")
    checked(["git", "switch", "--detach", commit], folder=clone, doing=f"switching to {commit}")


def fetch_answer(clone: Path, remote: str, branch: str) -> bool:
    """Fetch a branch to FETCH_HEAD, if it is there."""
    reference = f"refs/heads/{branch}"
    if not checked(["git", "ls-remote", remote, reference], folder=clone, doing=f"asking {remote} for {branch}"):
        return False
    checked(["git", "fetch", "--no-tags", remote, reference], folder=clone, doing=f"fetching {branch}")
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


def delete_branches(clone: Path, remote: str, prefix: str) -> None:
    """Delete the branches of a run from the remote."""
    command = ["git", "ls-remote", remote, f"refs/heads/{prefix}/*"]
    listed = checked(command, folder=clone, doing="listing parts").split()[1::2]
    if listed:
        checked(["git", "push", "--quiet", remote, "--delete", *listed], folder=clone, doing="deleting parts")


def show_commit(clone: Path, remote: str, branch: str, commit: str) -> None:
    """Push a commit as a branch, for the workers to fetch.

    Raises:
        UserError: the remote did not answer.
    """
    command = ["git", "push", "--quiet", remote, f"+{commit}:refs/heads/{branch}"]
    try:
        checked(command, folder=clone, doing="showing the workers the commit")
    except UserError as error:
        raise UserError(f"workers get their commit through the git remote {remote}. {error}") from None
