"""Record results, put files back and move a tag with git in a clone. Never `git add -A`."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from flows.process.commands import checked
from stages.core.run.errors import UserError

COMMIT_PREFIX = "nightly: "  # of the subjects of commits that runs make
NAME, EMAIL = "Oddpart nightly", "nightly@localhost"  # where git knows no committer


def changes(clone: Path) -> dict[str, str]:
    """List files that differ from the last commit, or are new and not ignored, with git's letters for what they are."""
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"]
    listed = checked(command, folder=clone, doing="looking for changes").split("\0")
    return {entry[3:]: entry[:2].strip() for entry in listed if entry}


def refuse_dirty(clone: Path, *, but: Collection[str] = ()) -> None:
    """Refuse a clone with changes other than of these files: they would enter the results.

    Raises:
        UserError: another file differs from the last commit, or is new.
    """
    found = [f"{letters} {path}" for path, letters in changes(clone).items() if path not in but]
    if found:
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise UserError(
            f"{clone} has changes that are not committed ({shown}): commit, stash or delete them; scheduled runs "
            "should have a clone of their own"
        )


def revision(clone: Path, name: str) -> str:
    """Return the commit that a name stands for."""
    return checked(["git", "rev-parse", f"{name}^{{commit}}"], folder=clone, doing=f"looking up {name}").strip()


def has_tag(clone: Path, tag: str) -> bool:
    """Return whether the clone has the tag."""
    return bool(checked(["git", "tag", "--list", "--", tag], folder=clone, doing="looking for the tag").strip())


def commit(clone: Path, paths: Sequence[str], message: str) -> bool:
    """Commit these paths and nothing else, whatever a person has staged; those neither here nor in git are ignored.

    The repository's .gitignore counts, that of the user does not: with "*.svg" in it, results would be missing.

    Returns:
        Whether there was anything to commit.
    """
    git = ["git", "--literal-pathspecs"]
    listed = checked([*git, "ls-files", "-z", "--", *paths], folder=clone, doing="listing files") if paths else ""
    tracked = set(listed.split("\0"))
    named = [path for path in paths if (clone / path).exists() or path in tracked]
    if named:
        add = [*git, "-c", f"core.excludesFile={os.devnull}", "add", "--all", "--", *named]
        checked(add, folder=clone, doing="adding results")
    command = [*git, "diff", "--cached", "--name-only", "--no-renames", "-z", "--", *paths]
    staged = [path for path in checked(command, folder=clone, doing="listing results").split("\0") if path]
    if not staged or not paths:
        return False
    command = [*git, *identity(clone), "commit", "--quiet", "--only", "-m", message, "--", *staged]
    checked(command, folder=clone, doing="committing")
    return True


def restore(clone: Path, paths: Sequence[str]) -> None:
    """Put tracked files back as they were committed: DVC deletes the outputs of a stage before it runs."""
    tracked = checked(["git", "ls-files", "-z", "--", *paths], folder=clone, doing="listing files").split("\0")
    if any(tracked) and paths:
        files = [file for file in tracked if file]
        checked(["git", "checkout", "--quiet", "HEAD", "--", *files], folder=clone, doing="restoring metrics")


def committed(clone: Path, path: str) -> str | None:
    """Return a file's text in the last commit; None if it is not there."""
    if not checked(["git", "ls-tree", "--name-only", "HEAD", path], folder=clone, doing=f"looking for {path}"):
        return None
    return checked(["git", "show", f"HEAD:{path}"], folder=clone, doing=f"reading {path}")


def file_at(clone: Path, revision: str, path: str) -> str:
    """Return a file's text in a revision."""
    return checked(["git", "show", f"{revision}:{path}"], folder=clone, doing=f"reading {path} of {revision}")


def take_files(clone: Path, revision: str, paths: Sequence[str]) -> None:
    """Make files and folders as in a revision; those it does not have stay as they are."""
    if paths:
        command = ["git", "ls-tree", "-r", "-z", "--name-only", revision, "--", *paths]
        files = [Path(file) for file in checked(command, folder=clone, doing="listing metrics").split("\0") if file]
        there = [path for path in paths if any(file.is_relative_to(path) for file in files)]
        if there:
            command = ["git", "restore", "--staged", "--worktree", f"--source={revision}", "--", *there]
            checked(command, folder=clone, doing="taking metrics")


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
    """Set the tag to the last commit, wherever it was before."""
    checked(
        ["git", *identity(clone), "tag", "--force", "-a", "-m", message, "--", tag],
        folder=clone,
        doing="moving the tag",
    )


def identity(clone: Path) -> list[str]:
    """Return options that name a committer, or complete one, where git has no name or no e-mail."""
    settings = (("user.name", NAME), ("user.email", EMAIL))
    return [word for key, value in settings if not setting(clone, key) for word in ("-c", f"{key}={value}")]


def setting(clone: Path, key: str, *options: str) -> str:
    """Return a value of git's configuration; "" where there is none."""
    try:
        return checked(["git", "config", *options, key], folder=clone, doing=f"asking for {key}").strip()
    except UserError:
        return ""
