"""The files of a local folder."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from stages.download.source_file import SourceFile, name_problem, refuse_unsafe


def folder_files(root: Path) -> list[SourceFile]:
    """All regular files below a folder, sorted by name; links to files inside it count as the file they lead to.

    Raises:
        UserError: an entry leads out of the folder, is a device, a socket or a link to a folder, or has an unsafe name.
    """
    files, problems = [], []
    inside = root.resolve()
    for path in walk(root):
        name = path.relative_to(root).as_posix()
        problem = name_problem(name) or entry_problem(path, inside)
        if problem:
            problems.append(f"{name}: {problem}")
        else:
            files.append(SourceFile(name, path.stat().st_size, partial(open_binary, path)))
    refuse_unsafe(root, problems)
    return files


def walk(root: Path) -> Iterator[Path]:
    """Every entry that is not a folder, and every link to one, sorted."""
    for folder, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted(names + links))


def entry_problem(path: Path, root: Path) -> str | None:
    """Why an entry cannot be copied; `root` is resolved."""
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(root):
            return "is a link that leads out of the folder: copy the file in its place"
        if not target.is_file():
            return "is a link to a folder or to nothing: copy the files in its place"
    elif not stat.S_ISREG(path.lstat().st_mode):
        return "is neither a file nor a folder"
    return None


def open_binary(path: Path) -> IO[bytes]:
    return path.open("rb")
