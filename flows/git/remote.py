"""Fetch from the git remote and push to it: with a time limit, and again while the remote does not answer.

A distributed run sends its commit, and gets its shards, as branches of this remote.
"""

import re
import time
from pathlib import Path

from flows.git.preflight import name_findings
from flows.process.commands import RetryPolicy, checked
from stages.core.run.errors import UserError

DEFAULT = RetryPolicy()
BEHIND = re.compile(r"\[rejected\].*\((?:fetch first|non-fast-forward)\)")
HOPELESS = re.compile(r"\[(?:remote )?rejected\]|couldn't find remote ref|Authentication failed|Permission denied")


class BranchBehind(UserError):
    """The remote's branch has commits that this clone lacks, so it takes none from here."""


def fetch(clone: Path, remote: str, reference: str, *, retry: RetryPolicy = DEFAULT) -> None:
    """Fetch a branch, a commit or "from:to"; without "to" it is then FETCH_HEAD.

    Raises:
        UserError: the remote lacks it or does not answer.
    """
    ask(clone, remote, "fetch", "--no-tags", "--", remote, reference, doing=f"fetching {reference}", retry=retry)


def fetch_tag(clone: Path, remote: str, tag: str, *, retry: RetryPolicy = DEFAULT) -> None:
    """Take the remote's tag, if it has one, also if it stands elsewhere here."""
    if list_references(clone, remote, f"refs/tags/{tag}", retry=retry):
        fetch(clone, remote, f"+refs/tags/{tag}:refs/tags/{tag}", retry=retry)


def list_references(clone: Path, remote: str, pattern: str, *, retry: RetryPolicy = DEFAULT) -> list[str]:
    """List the remote's references that match; a star stands for any text."""
    return ask(
        clone, remote, "ls-remote", "--", remote, pattern, doing=f"asking {remote} for {pattern}", retry=retry
    ).split()[1::2]


def push(clone: Path, remote: str, *references: str, retry: RetryPolicy = DEFAULT) -> None:
    """Push references as git writes them; "+" before one lets it move, ":" before one deletes it.

    Raises:
        BranchBehind: the remote has commits that this clone lacks.
        UserError: it refused for another reason, or did not answer.
    """
    try:
        ask(clone, remote, "push", "--quiet", "--", remote, *references, doing=f"pushing to {remote}", retry=retry)
    except UserError as error:
        if BEHIND.search(str(error)):
            raise BranchBehind(str(error)) from None
        raise


def ask(clone: Path, remote: str, *arguments: str, doing: str, retry: RetryPolicy) -> str:
    """Run a command of git that asks a remote; again unless the remote's answer was a clear no.

    Raises:
        UserError: the remote has no name that may be shown, refused, or did not answer.
    """
    if found := name_findings(remote):
        raise UserError("; ".join(found))
    tries = 0
    while True:
        try:
            return checked(["git", *arguments], folder=clone, doing=doing, environment={"LC_ALL": "C"})
        except UserError as error:
            tries += 1
            if tries > retry.retries or HOPELESS.search(str(error)):
                raise
            retry.warn(f"again in {retry.delay_seconds:g} s (try {tries + 1} of {retry.retries + 1}): {error}")
            time.sleep(retry.delay_seconds)


def switch_to(clone: Path, commit: str, remote: str, *, retry: RetryPolicy = DEFAULT) -> None:
    """Check a commit of the remote out, without a branch.

    Raises:
        UserError: the remote does not have it.
    """
    fetch(clone, remote, commit, retry=retry)
    checked(["git", "switch", "--detach", commit], folder=clone, doing=f"switching to {commit}")


def fetch_branch(clone: Path, remote: str, branch: str, *, retry: RetryPolicy = DEFAULT) -> bool:
    """Fetch a branch to FETCH_HEAD; return whether it is there."""
    reference = f"refs/heads/{branch}"
    if not list_references(clone, remote, reference, retry=retry):
        return False
    fetch(clone, remote, reference, retry=retry)
    return True


def delete_branches(clone: Path, remote: str, prefix: str, *, retry: RetryPolicy = DEFAULT) -> None:
    """Delete the branches below a prefix from the remote."""
    listed = list_references(clone, remote, f"refs/heads/{prefix}/*", retry=retry)
    if listed:
        push(clone, remote, *(f":{reference}" for reference in listed), retry=retry)


def push_commit(clone: Path, remote: str, branch: str, commit: str, *, retry: RetryPolicy = DEFAULT) -> None:
    """Push a commit as a branch, by which workers and coordinator hand over what they did.

    Raises:
        UserError: the remote did not answer.
    """
    try:
        push(clone, remote, f"+{commit}:refs/heads/{branch}", retry=retry)
    except UserError as error:
        raise UserError(f"workers and coordinator exchange commits through the git remote {remote}. {error}") from None
