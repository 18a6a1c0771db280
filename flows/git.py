"""What a scheduled run does with git in its clone: record results, move a tag. Never `git add -A`."""

from collections.abc import Collection, Sequence
from pathlib import Path

from flows.commands import checked
from stages.core.run.errors import UserError

NAME, EMAIL = "Oddpart nightly", "nightly@localhost"  # where git knows no committer


def changes(clone: Path) -> dict[str, str]:
    """Files that differ from the last commit, or are new and not ignored, with git's letters for what they are."""
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"]
    listed = checked(command, folder=clone, doing="looking for changes").split("\0")
    return {entry[3:]: entry[:2].strip() for entry in listed if entry}


def refuse_dirty(clone: Path, *, but: Collection[str] = ()) -> None:
    """Raises:
    UserError: files other than these differ from the last commit, or are new: they would enter the results.
    """
    found = [f"{letters} {path}" for path, letters in changes(clone).items() if path not in but]
    if found:
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
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


def committed(clone: Path, path: str) -> str | None:
    """A file's text in the last commit; None if it is not there."""
    if not checked(["git", "ls-tree", "--name-only", "HEAD", path], folder=clone, doing=f"looking for {path}"):
        return None
    return checked(["git", "show", f"HEAD:{path}"], folder=clone, doing=f"reading {path}")


def discard(clone: Path, paths: Collection[str]) -> None:
    """Make these files as in the last commit; those it does not have are deleted."""
    listed = checked(["git", "ls-tree", "-r", "-z", "--name-only", "HEAD"], folder=clone, doing="listing files")
    known = sorted(set(paths) & set(listed.split("\0")))
    new = sorted(set(paths) - set(known))
    if known:
        checked(["git", "checkout", "--quiet", "HEAD", "--", *known], folder=clone, doing="putting files back")
    if new:  # the run may have been killed between adding and committing them
        command = ["git", "rm", "--quiet", "--cached", "--ignore-unmatch", "--", *new]
        checked(command, folder=clone, doing="putting files back")
    for path in new:
        (clone / path).unlink(missing_ok=True)


def move_tag(clone: Path, tag: str, message: str) -> None:
    checked(["git", *identity(clone), "tag", "--force", "-a", tag, "-m", message], folder=clone, doing="moving the tag")


def identity(clone: Path) -> list[str]:
    """Options that name a committer, where git has none."""
    try:
        checked(["git", "config", "user.email"], folder=clone, doing="asking for the committer")
    except UserError:
        return ["-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}"]
    return []
