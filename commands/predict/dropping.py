"""A camera's drop folder: which of its files are whole, and where they go, so that none is lost or judged twice.

A file goes from the folder to `.judging`, and from there to `done` or `unreadable`, by renaming only. So it is at one
place at any moment, no camera can replace it while it is judged, and a restart finds in `.judging` what was not ended.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from commands.predict.kinds import look_at
from commands.predict.marker import is_results
from commands.predict.reading import FileFacts
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
DONE, GIVEN_UP, CLAIMED = "done", "unreadable", ".judging"
TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".writing", "~")
RETRY = 2.0  # seconds until a file is tried again that could not be read


@dataclass(frozen=True)
class Drop:
    """A folder to watch, and how.

    Attributes:
        folder: that a camera writes to.
        stay: leave judged files where they are, and remember them.
        settle: seconds that a file must not change before it counts as whole.
        patience: seconds without a change after which a file that cannot be read is given up.
        poll: seconds between two looks.
    """

    folder: Path
    stay: bool = False
    settle: float = 1.0
    patience: float = 30.0
    poll: float = 0.5

    def path(self, place: str, name: str) -> Path:
        """Return where a file is that lies in one of the folder's own places."""
        return self.folder / place / name

    def claimed(self) -> list[str]:
        """Return the names of files that a run took and did not end."""
        return sorted(names_below(self.folder / CLAIMED))

    def claim(self, name: str) -> Path | None:
        """Take a file; None where it is gone, or an earlier one of its name is still being judged."""
        target = self.path(CLAIMED, name)
        if os.path.lexists(target):
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            (self.folder / name).rename(target)
        except FileNotFoundError:
            return None
        return target

    def finish(self, name: str, place: str) -> Path:
        """Move a claimed file to its last place; where the name is taken there, a number is added."""
        target, number = self.path(place, name), 1
        target.parent.mkdir(parents=True, exist_ok=True)
        stem, suffix = target.stem, target.suffix
        while os.path.lexists(target):  # nobody else moves here: the folder is locked
            number += 1
            target = target.with_name(f"{stem}-{number}{suffix}")
        self.path(CLAIMED, name).rename(target)
        return target


def names_below(folder: Path) -> Iterator[str]:
    """Yield all files below a folder, by their path in it."""
    for root, _, files in os.walk(folder):
        for name in files:
            yield str(Path(root, name).relative_to(folder))


@dataclass
class Sighting:
    """A file that was seen.

    Attributes:
        facts: of it.
        since: when it was first seen so; seconds of the monotonic clock, since the clocks of network folders differ.
        next_try: when to read it.
        ended: whether nothing is to be done with it until it changes.
    """

    facts: FileFacts
    since: float
    next_try: float
    ended: bool = False


@dataclass
class Sightings:
    """What was seen in a drop folder."""

    drop: Drop
    seen: dict[str, Sighting] = field(default_factory=dict)
    failing: dict[str, Sighting] = field(default_factory=dict)  # of the claimed ones
    closed: set[Path] = field(default_factory=set)  # subfolders that cannot be opened

    def claimed(self, now: float) -> list[str]:
        """Return the names of files that were claimed and are to be tried now."""
        names = self.drop.claimed()
        self.failing = {name: self.failing[name] for name in names if name in self.failing}
        return [name for name in names if name not in self.failing or now >= self.failing[name].next_try]

    def whole(self, now: float) -> list[str]:
        """Look at the folder; return the names of files that seem whole, in the order in which they were written.

        Raises:
            OSError: the folder cannot be looked at, as a network folder that is away.
        """
        found = dict(waiting_files(self.drop.folder, self.closed))
        self.seen = {name: self.seen[name] for name in self.seen if name in found}
        for name, facts in found.items():
            if name not in self.seen or self.seen[name].facts != facts:
                self.seen[name] = Sighting(facts, now, now + self.drop.settle)
        ready = [name for name, one in self.seen.items() if not one.ended and now >= one.next_try]
        return sorted((name for name in ready if self.is_picture(name)), key=lambda one: self.order(one))

    def order(self, name: str) -> tuple[int, str]:
        """Return what sorts files by their age."""
        return self.seen[name].facts.modified, name

    def is_picture(self, name: str) -> bool:
        """Whether a file is an image or called like one; any other is left alone until it changes."""
        found = look_at(self.drop.folder / name)
        if found.image or found.problem is None:
            return True
        LOG.info("%s: is no image by its content: it is left where it is", self.drop.folder / name)
        self.seen[name].ended = True
        return False

    def gives_up(self, name: str, now: float, *, claimed: bool) -> bool:
        """Note that a file could not be read; return whether it has been so, unchanged, for long enough."""
        if not claimed:
            one = self.seen.get(name)
        else:
            facts = FileFacts.of(self.drop.path(CLAIMED, name))
            one = self.failing.get(name) or self.seen.get(name)
            if one is None or one.facts != facts:
                one = Sighting(facts, now, now)
            self.failing[name] = one
        if one is None:
            return False
        left = one.since + self.drop.patience - now
        one.next_try = now + min(RETRY, left if left > 0 else self.drop.patience)
        return left <= 0

    def claim_late(self, name: str, now: float) -> None:
        """Claim a file that is given up; its time without a change goes on, and it is tried once more at once."""
        if self.drop.claim(name) is not None and name in self.seen:
            self.failing[name] = replace(self.seen[name], next_try=now)

    def end(self, name: str) -> None:
        """Note that a file that stays has been judged or given up."""
        if name in self.seen:
            self.seen[name].ended = True


def waiting_files(folder: Path, closed: set[Path]) -> Iterator[tuple[str, FileFacts]]:
    """Yield the files of a drop folder and below; hidden, linked and temporary ones, and our own folders excluded.

    Args:
        folder: the drop folder.
        closed: subfolders that could not be opened, of which the log has heard; others are added.

    Raises:
        OSError: the drop folder cannot be opened.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting += [Path(entry)] if is_searched(Path(entry), folder) else []
                    elif is_offered(entry):
                        with suppress(FileNotFoundError):  # it was a temporary name
                            yield str(Path(entry).relative_to(folder)), FileFacts.of(Path(entry))
        except OSError as error:
            if here == folder:
                raise
            if here not in closed:
                LOG.warning("%s cannot be opened (%s): it is left out", here, error.strerror)
                closed.add(here)


def is_searched(path: Path, folder: Path) -> bool:
    """Whether a folder below the drop folder is looked into."""
    own = path.parent == folder and path.name in (DONE, GIVEN_UP)
    return not (own or path.name.startswith(".") or is_results(path))


def is_offered(entry: os.DirEntry[str]) -> bool:
    """Whether a file counts: no link, not hidden, not under the name that a camera gives a half one."""
    temporary = entry.name.startswith(".") or entry.name.lower().endswith(TEMPORARY)
    return not temporary and entry.is_file(follow_symlinks=False)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Lock a folder for the block.

    Raises:
        UserError: another process has locked it, or it cannot be opened.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(f"{folder}: is no folder that can be opened ({error.strerror}): name another one") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UserError(f"{folder}: another `oddpart predict --watch` works here: end it first") from None
    except OSError as error:
        LOG.warning("%s: cannot be locked (%s): see to it that one process alone watches it", folder, error.strerror)
    try:
        yield
    finally:
        os.close(handle)
