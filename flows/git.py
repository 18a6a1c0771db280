"""What a scheduled run does with git in its clone: record results, move a tag. Never `git add -A`."""

from collections.abc import Sequence
from pathlib import Path

from flows.commands import checked
from stages.core.running.errors import UserError

NAME, EMAIL = "Oddpart nightly", "nightly@localhost"  # where git knows no committer


def refuse_dirty(clone: Path) -> None:
    """Raises:
    UserError: files differ from the last commit, or are new and not ignored: they would enter the results.
    """
    changes = checked(["git", "status", "--porcelain"], folder=clone, doing="looking for changes").splitlines()
    if changes:
        shown = ", ".join(line.strip() for line in changes[:5]) + (", ..." if len(changes) > 5 else "")
        raise UserError(
            f"{clone} has changes that are not committed ({shown}): commit, stash or delete them; scheduled runs "
            "should have a clone of their own"
        )


def revision(clone: Path, name: str) -> str:
    """The commit that a name stands for."""
    return checked(["git", "rev-parse", f"{name}^{{commit}}"], folder=clone, doing=f"looking up {name}").strip()


def has_tag(clone: Path, tag: str) -> bool:
    return bool(checked(["git", "tag", "--list", tag], folder=clone, doing="looking for the tag").strip())


def commit(clone: Path, paths: Sequence[str], message: str) -> bool:
    """Commit these paths and nothing else; paths that are neither here nor in git are left out.

    Returns:
        Whether there was anything to commit.
    """
    tracked = set(checked(["git", "ls-files", "-z", "--", *paths], folder=clone, doing="listing files").split("\0"))
    named = [path for path in paths if (clone / path).exists() or path in tracked]
    if named:
        checked(["git", "add", "--all", "--", *named], folder=clone, doing="adding results")
    staged = checked(["git", "diff", "--cached", "--name-only"], folder=clone, doing="listing results").split()
    if not staged:
        return False
    checked(["git", *identity(clone), "commit", "--quiet", "-m", message], folder=clone, doing="committing")
    return True


def restore(clone: Path, paths: Sequence[str]) -> None:
    """Put tracked files back as they were committed: DVC deletes the outputs of a stage before it runs."""
    tracked = checked(["git", "ls-files", "-z", "--", *paths], folder=clone, doing="listing files").split("\0")
    if any(tracked) and paths:
        files = [file for file in tracked if file]
        checked(["git", "checkout", "--quiet", "HEAD", "--", *files], folder=clone, doing="restoring metrics")


def move_tag(clone: Path, tag: str, message: str) -> None:
    checked(["git", *identity(clone), "tag", "--force", "-a", tag, "-m", message], folder=clone, doing="moving the tag")


def identity(clone: Path) -> list[str]:
    """Options that name a committer, where git has none."""
    try:
        checked(["git", "config", "user.email"], folder=clone, doing="asking for the committer")
    except UserError:
        return ["-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}"]
    return []
