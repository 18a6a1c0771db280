"""Fetch from the git remote and push to it: with a time limit, and again while the remote does not answer."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.commands import checked
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
BEHIND = re.compile(r"\[rejected\].*\((?:fetch first|non-fast-forward)\)")
HOPELESS = re.compile(r"\[(?:remote )?rejected\]|couldn't find remote ref|Authentication failed|Permission denied")


class BranchBehind(UserError):
    """The remote's branch has commits that this clone lacks, so it takes none from here."""


@dataclass(frozen=True)
class Trying:
    """How often a remote that does not answer is asked again, after how long, and who is told."""

    retries: int = 2
    delay_seconds: float = 60.0
    tell: Callable[[str], None] = LOG.warning


TRYING = Trying()


def fetch(clone: Path, remote: str, reference: str, *, trying: Trying = TRYING) -> None:
    """Fetch a branch, a commit or "from:to"; without "to" it is then FETCH_HEAD.

    Raises:
        UserError: the remote lacks it or does not answer.
    """
    ask(clone, "fetch", "--no-tags", remote, reference, doing=f"fetching {reference}", trying=trying)


def fetch_tag(clone: Path, remote: str, tag: str, *, trying: Trying = TRYING) -> None:
    """Take the remote's tag, if it has one, also if it stands elsewhere here."""
    if list_references(clone, remote, f"refs/tags/{tag}", trying=trying):
        fetch(clone, remote, f"+refs/tags/{tag}:refs/tags/{tag}", trying=trying)


def list_references(clone: Path, remote: str, pattern: str, *, trying: Trying = TRYING) -> list[str]:
    """The remote's references that match; a star stands for any text."""
    return ask(clone, "ls-remote", remote, pattern, doing=f"asking {remote} for {pattern}", trying=trying).split()[1::2]


def push(clone: Path, remote: str, *references: str, trying: Trying = TRYING) -> None:
    """Push references as git writes them; "+" before one lets it move, ":" before one deletes it.

    Raises:
        BranchBehind: the remote has commits that this clone lacks.
        UserError: it refused for another reason, or did not answer.
    """
    try:
        ask(clone, "push", "--quiet", remote, *references, doing=f"pushing to {remote}", trying=trying)
    except UserError as error:
        if BEHIND.search(str(error)):
            raise BranchBehind(str(error)) from None
        raise


def ask(clone: Path, *arguments: str, doing: str, trying: Trying) -> str:
    """Run a command of git that asks a remote; again unless the remote's answer was a clear no."""
    tries = 0
    while True:
        try:
            return checked(["git", *arguments], folder=clone, doing=doing, environment={"LC_ALL": "C"})
        except UserError as error:
            tries += 1
            if tries > trying.retries or HOPELESS.search(str(error)):
                raise
            trying.tell(f"again in {trying.delay_seconds:g} s (try {tries + 1} of {trying.retries + 1}): {error}")
            time.sleep(trying.delay_seconds)
