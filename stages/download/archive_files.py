"""The files of a .tar, .tar.gz, .tar.xz or .zip archive, all checked before the first one is written."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from stages.core.running.errors import UserError
from stages.download.packed_entry import PackedEntry, tar_entries, zip_entries
from stages.download.source_file import SourceFile, name_problem, refuse_unsafe

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)


@contextmanager
def open_archive(path: Path) -> Iterator[list[SourceFile]]:
    """Give an archive's regular files, in the archive's order, to be read until the block ends.

    Links to regular files of the same archive count as the file they lead to.

    Raises:
        UserError: it is not an archive or a damaged one; an entry has an unsafe name, leads out of the archive, is a
            device, is encrypted, or has the name of another entry or of another's folder.
    """
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path, "r:*") as tape:
                yield safe_files(path, tar_entries(tape))
        else:
            with zipfile.ZipFile(path) as packed:
                yield safe_files(path, zip_entries(packed))
    except DAMAGE as error:
        raise UserError(
            f"{path}: not a readable .tar, .tar.gz, .tar.xz or .zip archive, or a truncated or damaged one "
            f"({error}): fetch it again"
        ) from None


def safe_files(path: Path, entries: Sequence[PackedEntry]) -> list[SourceFile]:
    """The entries as files to copy.

    Raises:
        UserError: at least one is unsafe; all such are listed.
    """
    regular = {entry.name: entry for entry in entries if entry.kind == "file"}
    counts = Counter(entry.name for entry in entries)
    problems = [f"{name}: occurs {count} times" for name, count in counts.items() if count > 1]
    folders = {folder.as_posix() for name in counts for folder in PurePosixPath(name).parents}
    problems += [f"{name}: is a file, and the folder of other files" for name in counts if name in folders]
    files = []
    for entry in entries:
        problem = entry_problem(entry, regular)
        if problem:
            problems.append(f"{entry.name}: {problem}")
        else:
            content = regular[entry.target] if entry.target is not None else entry
            files.append(SourceFile(entry.name, content.size, content.open))
    refuse_unsafe(path, problems)
    return files


def entry_problem(entry: PackedEntry, regular: dict[str, PackedEntry]) -> str | None:
    """Why an entry must not be unpacked, None when it may."""
    if entry.kind == "unusable":
        return "is a device, encrypted or of another kind that is not unpacked"
    if entry.kind == "link" and entry.target is None:
        return "is a link that leads out of the archive"
    if entry.kind == "link" and entry.target not in regular:
        return "is a link to a folder, to another link or to nothing"
    return name_problem(entry.name)
