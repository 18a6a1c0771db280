"""Find before the work what would make git fail after it, and repair what a killed command left in the clone."""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from flows.git.repository import COMMIT_PREFIX, identity, setting
from flows.process.commands import Logger, checked
from flows.process.redact import redact
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
STALE_LOCK_SECONDS = 3600.0  # the age at which a lock file of git that no process holds is taken for a dead one's
PATIENCE_SECONDS = 5.0  # in which a command of git that somebody else runs may end
PROBE_SECONDS = 120.0  # for a hook or a signature
LOCK_FILES = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/**/*.lock")
UNFINISHED = {
    "rebase-merge": "rebase", "rebase-apply/applying": "am", "rebase-apply": "rebase", "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert", "sequencer": "cherry-pick", "BISECT_LOG": "bisect",
}  # fmt: skip
OWN_REBASE = "oddpart-rebase"  # in git's folder while a run rebases: its own commit, and the one it goes on top of
HOOKS = ("pre-commit", "commit-msg")
NO_NAME = re.compile(r"^$|^-|[\s\x00-\x1f\x7f~^:?*\[\\]|\.\.|@\{")  # for git a branch has no such name
NO_REMOTE = re.compile(r"^$|^-|[\x00-\x1f\x7f]")


def preflight(clone: Path, logger: Logger = LOG, *, remote: str | None = None, **names: str) -> None:
    """Find all that would make git fail after hours of work; repair what a killed command left.

    To be called while the run holds the clone.

    Args:
        remote: the git remote that the run will use, if any.
        names: of branches, tags and commits that the run will use, by what they are.

    Raises:
        UserError: with every finding.
    """
    findings = [*name_findings(remote, names), *_lock_findings(clone, logger), *_unfinished_findings(clone, logger)]
    findings += [*_committer_findings(clone), *_hook_findings(clone)]
    if findings:
        raise UserError("\n".join([f"{clone} is not ready for a scheduled run:", *(f"- {text}" for text in findings)]))


def name_findings(remote: str | None, names: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong with names that are handed to git: an option in place of a name, or a password in one."""
    named = dict(names or {}).items()
    found = [f"{what} {name!r} is no name that git takes" for what, name in named if NO_NAME.search(name)]
    if remote is not None and NO_REMOTE.search(remote):
        found.append(f"git remote {redact(remote)!r} is no name or address of a remote")
    if remote is not None and redact(remote) != remote:
        found.append(
            f"git remote {redact(remote)} has a password in its address, which pages and logs would show: name it with "
            "`git remote add`, and give the password to a credential helper"
        )
    return found


def git_folders(clone: Path) -> tuple[Path, Path]:
    """Return git's folder of this working tree, and the one that all working trees of the repository share."""
    command = ["git", "rev-parse", "--absolute-git-dir", "--git-common-dir"]
    own, common = checked(command, folder=clone, doing="looking for git's folder").splitlines()
    return Path(own), (clone / common).resolve()


def _lock_findings(clone: Path, logger: Logger) -> Iterator[str]:
    """Delete lock files that a killed git left (power cut); report those of one that may be alive."""
    folders, moment = set(git_folders(clone)), time.monotonic() + PATIENCE_SECONDS
    while locks := sorted({path for folder in folders for name in LOCK_FILES for path in folder.glob(name)}):
        alive = [number for folder in (clone, *folders) for number in _git_processes(folder)]
        for lock in locks if not alive else []:
            if (age := _age(lock)) is not None and age >= STALE_LOCK_SECONDS:
                logger.warning("%s is %.0f minutes old and no git is at work here: deleted", lock, age / 60)
                lock.unlink(missing_ok=True)
        if time.monotonic() > moment:
            for lock in filter(Path.exists, locks):
                holder = f"git is at work here (process {alive[0]})" if alive else "no git is at work here"
                yield (
                    f"{lock} is in the way, {(_age(lock) or 0) / 60:.0f} minutes old, and {holder}: wait for its end, "
                    f"or delete it; a run deletes one that is {STALE_LOCK_SECONDS / 60:.0f} minutes old"
                )
            return
        time.sleep(0.2)


def _age(lock: Path) -> float | None:
    """Return the seconds since a lock file was written; None for one that is gone or another user's."""
    try:
        state = lock.lstat()
    except FileNotFoundError:
        return None
    return time.time() - state.st_mtime if state.st_uid == os.getuid() else None


def _git_processes(folder: Path) -> list[int]:
    """Return the processes of git at work below a folder; those of other users cannot be seen."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_git = (process / "comm").read_text(encoding="utf-8", errors="replace").startswith("git")
            if is_git and (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:  # it ended, or is another user's
            continue
    return sorted(found)


def _unfinished_findings(clone: Path, logger: Logger) -> Iterator[str]:
    """Undo a rebase that a killed run began; report what a person began."""
    folder, _ = git_folders(clone)
    name = next((name for name in UNFINISHED if (folder / name).exists()), None)
    if name is None:
        return
    verb = UNFINISHED[name]
    if verb == "rebase" and _is_own_rebase(folder / name, folder / OWN_REBASE):
        checked(["git", "rebase", "--abort"], folder=clone, doing="undoing the rebase of a killed run")
        (folder / OWN_REBASE).unlink()
        logger.warning("a run before was killed within a rebase: undone, it is made again")
        return
    end = "`git bisect reset`" if verb == "bisect" else f"`git {verb} --continue`, or `git {verb} --abort`"
    yield f"a {verb} is unfinished ({folder / name}): {end}"


def _is_own_rebase(rebase: Path, marker: Path) -> bool:
    try:
        begun = [(rebase / name).read_text(encoding="utf-8").strip() for name in ("orig-head", "onto")]
        return begun == marker.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False


def _committer_findings(clone: Path) -> Iterator[str]:
    """Report a committer that git refuses, and a signature that it is asked for but cannot make."""
    try:
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            checked(["git", *identity(clone), "var", who], folder=clone, doing="asking for the committer")
        keys = [key for key in ("commit.gpgSign", "tag.gpgSign") if setting(clone, key, "--type=bool") == "true"]
        if keys:  # the commit belongs to no branch
            command = ["git", *identity(clone), "commit-tree", "-S", "HEAD^{tree}", "-m", "can a run sign?"]
            doing = (
                f"signing, which {' and '.join(keys)} asks for (`git config {keys[0]} false` in the clone ends that),"
            )
            checked(command, folder=clone, doing=doing, timeout=PROBE_SECONDS)
    except UserError as error:
        yield str(error)


def _hook_findings(clone: Path) -> Iterator[str]:
    """Report hooks that fail before there is anything to commit: they would also refuse the results."""
    command = ["git", "rev-parse", "--git-path", "hooks"]
    folder = clone / checked(command, folder=clone, doing="looking for hooks").strip()
    for name in HOOKS:
        hook = folder / name
        if not hook.is_file() or not os.access(hook, os.X_OK):
            continue
        message = git_folders(clone)[0] / "oddpart-message"
        message.write_text(f"{COMMIT_PREFIX}1 stage ran\n", encoding="utf-8")
        arguments = [str(message)] if name == "commit-msg" else []
        try:
            checked([str(hook), *arguments], folder=clone, doing=f"trying the hook {name}", timeout=PROBE_SECONDS)
        except UserError as error:
            yield f"{error} (repair it, or `git config core.hooksPath {os.devnull}` in the clone)"
        except OSError as error:
            yield f"the hook {hook} does not start: {error}"
        finally:
            message.unlink(missing_ok=True)
