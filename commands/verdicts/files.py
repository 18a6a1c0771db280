"""The file of a verdict store in SQLite: whether it can be made and written, and how it is read where it cannot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL

from commands.verdicts.verdict import STORE
from stages.core.run.errors import UserError

LOG_FILE = "-wal"  # after the name: verdicts that are not in the file itself yet


def make_folder(url: URL) -> None:
    """Make the folder of a file.

    Raises:
        UserError: the address is that of a folder.
        OSError: it cannot be made.
    """
    if url.drivername == "sqlite":
        check_no_folder(url)
        path_of(url).parent.mkdir(parents=True, exist_ok=True)


def path_of(url: URL) -> Path:
    """Return the path of a file."""
    return Path(os.fsdecode(str(url.database)))


def check_no_folder(url: URL) -> None:
    """Pass when an address is not that of a folder.

    Raises:
        UserError: it is.
    """
    path = path_of(url)
    if path.is_dir() or str(url.database).endswith("/"):
        raise UserError(f"{path}: is a folder: name the verdict store in it, for example {path / STORE}")


def check_writable(url: URL) -> None:
    """Pass when a file can be written, and its write-ahead log be made next to it; of a server the first try says so.

    Raises:
        UserError: the file or its folder is read-only.
    """
    if url.drivername != "sqlite" or not is_read_only(url):
        return
    path = path_of(url)
    which = "it" if path.exists() and not os.access(path, os.W_OK) else f"its folder {path.parent}"
    raise UserError(
        f"{path}: cannot be written ({which} is read-only): see to the rights of the file and its folder, or name a "
        "store elsewhere with --store"
    )


def is_read_only(url: URL) -> bool:
    """Whether a file of SQLite, or the folder in which it keeps its log, cannot be written."""
    if url.drivername != "sqlite":
        return False
    path = path_of(url)
    return not all(os.access(one, os.W_OK) for one in (path, path.parent) if one.exists())


def read_only_address(url: URL) -> str:
    """Return the address by which SQLite reads a file where nothing can be written.

    Without a log the file has everything, and is read as one that does not change: SQLite would want to make the index
    of a log else. With a log that index has to be there.
    """
    still = "" if has_log(path_of(url)) else "&immutable=1"
    return f"file:{quote(os.fsencode(str(url.database)))}?mode=ro{still}"


def has_log(path: Path) -> bool:
    """Whether there are verdicts that are not in the file itself yet: another process writes, or was killed."""
    log = Path(f"{path}{LOG_FILE}")
    return log.exists() and log.stat().st_size > 0


@dataclass(frozen=True)
class StillFile:
    """A file that is read as one that does not change, and what would show that it did.

    Attributes:
        size, modified: of the file, at first.
    """

    path: Path
    size: int
    modified: int

    @classmethod
    def of(cls, url: URL) -> StillFile | None:
        """Look at a file before it is read; None for a server, and for a file that SQLite reads with its log.

        Raises:
            OSError: there is none.
        """
        if url.drivername != "sqlite" or has_log(path := path_of(url)):
            return None
        found = path.stat()
        return cls(path, found.st_size, found.st_mtime_ns)

    def check(self) -> None:
        """Pass when the file is as it was.

        Raises:
            UserError: it is not, so that what was read may be wrong.
        """
        found = self.path.stat()
        if (found.st_size, found.st_mtime_ns) != (self.size, self.modified):
            raise UserError(f"{self.path}: was written to while it was read: ask again")
