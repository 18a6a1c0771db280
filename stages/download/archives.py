"""The files of a .tar, .tar.gz, .tar.xz or .zip archive, all checked before the first one is written."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from stages.core.run.errors import UserError
from stages.download.source_files import SourceFile, link_target, name_problem, refuse_unsafe

ENCRYPTED = 0x1  # bit of a zip entry's flags
TAR_BLOCK = 512  # bytes
LONGEST_LINK = 4096  # bytes
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a small entry can take all memory
MAX_RATIO, RATIO_FROM = 100, 1_000_000_000  # times the archive's own size, from how many bytes on
Kind = Literal["file", "link", "unusable", "method"]
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)


@dataclass(frozen=True)
class PackedEntry:
    """One entry of an archive that is not a folder, as tar and zip describe it.

    Attributes:
        name: as written in the archive, with leading "./" dropped and nothing else.
        kind: "unusable" for devices, encrypted files and the like, "method" for a compression that is not read.
        target: of a link, the path below the archive's root that it leads to; None when it leaves the archive.
        size: bytes of the unpacked file.
        open: opens the unpacked content of a file.
    """

    name: str
    kind: Kind
    target: str | None
    size: int
    open: Callable[[], IO[bytes]]


def tar_entries(tape: tarfile.TarFile) -> list[PackedEntry]:
    """List every entry of a tar archive that is not a folder.

    Raises:
        tarfile.TarError: it is damaged, or its closing block of zeros is missing (it ends between two files).
    """
    members = list(tar_members(tape))
    if tape.fileobj is not None:
        tape.fileobj.seek(tape.offset)
        if tape.fileobj.read(TAR_BLOCK) != bytes(TAR_BLOCK):
            raise tarfile.ReadError("the end is missing")
    return [tar_entry(tape, member) for member in members if not member.isdir()]


def tar_members(tape: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members; a damaged size could send the tape back, and the same member would come for ever.

    Raises:
        tarfile.TarError: a size is negative.
    """
    while (member := tape.next()) is not None:
        if member.size < 0:
            raise tarfile.ReadError(f"{member.name!r} has a negative size")
        yield member


def tar_entry(tape: tarfile.TarFile, member: tarfile.TarInfo) -> PackedEntry:
    """Describe a member of a tar archive."""
    target, kind = (
        None,
        file_kind(regular=member.isreg() and not member.issparse(), link=member.issym() or member.islnk()),
    )
    if member.issym():
        target = link_target(member.name, member.linkname)
    elif member.islnk():  # a hard link names its target from the archive's root
        target = link_target("", member.linkname)
    return PackedEntry(plain(member.name), kind, target, member.size, partial(open_member, tape, member))


def open_member(tape: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """Open a regular file of a tar archive."""
    content = tape.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} is not a regular file")
    return content


def zip_entries(packed: zipfile.ZipFile) -> list[PackedEntry]:
    """List every entry of a zip archive that is not a folder.

    Raises:
        zipfile.BadZipFile: it is damaged.
    """
    return [zip_entry(packed, member) for member in packed.infolist() if not member.is_dir()]


def zip_entry(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> PackedEntry:
    """Describe a member of a zip archive."""
    target, mode = None, stat.S_IFMT(member.external_attr >> 16)  # 0 in archives made on Windows
    kind = file_kind(regular=mode in (0, stat.S_IFREG), link=mode == stat.S_IFLNK)
    if member.flag_bits & ENCRYPTED or (kind == "link" and member.file_size > LONGEST_LINK):
        kind = "unusable"
    elif member.compress_type not in READ_METHODS:
        kind = "method"
    elif kind == "link":
        target = link_target(member.filename, packed.read(member).decode("utf-8", errors="surrogateescape"))
    return PackedEntry(plain(member.filename), kind, target, member.file_size, partial(packed.open, member))


def file_kind(*, regular: bool, link: bool) -> Kind:
    """Return the kind of an entry."""
    if link:
        return "link"
    return "file" if regular else "unusable"


def plain(name: str) -> str:
    """Remove "./" and doubled slashes from a name; ".." and a leading slash stay to be refused."""
    return PurePosixPath(name).as_posix()


@contextmanager
def open_archive(path: Path) -> Iterator[list[SourceFile]]:
    """Yield an archive's regular files, in the archive's order, to be read until the block ends.

    Links to regular files of the same archive count as the file they lead to.

    Raises:
        UserError: it is not an archive or a damaged one; an entry has an unsafe name, leads out of the archive, is a
            device, is encrypted, or has the name of another entry or of another's folder.
    """
    with ExitStack() as opened:
        try:
            files = safe_files(path, list_entries(path, opened))
        except UserError:
            raise
        except Exception as error:  # both parsers raise whatever they like at damaged files
            raise not_readable(path, error) from None
        try:
            yield files
        except DAMAGE as error:
            raise not_readable(path, error) from None


def list_entries(path: Path, opened: ExitStack) -> list[PackedEntry]:
    """List every entry of an archive that is not a folder; it is left open for as long as `opened`."""
    if tarfile.is_tarfile(path):
        return tar_entries(opened.enter_context(tarfile.open(path, "r:*")))
    return zip_entries(opened.enter_context(zipfile.ZipFile(path)))


def not_readable(path: Path, error: Exception) -> UserError:
    """Make the error that a damaged archive ends in."""
    return UserError(
        f"{path}: not a readable .tar, .tar.gz, .tar.xz or .zip archive, or a truncated or damaged one "
        f"({error or type(error).__name__}): fetch it again"
    )


def safe_files(path: Path, entries: Sequence[PackedEntry]) -> list[SourceFile]:
    """Return the entries as files to copy.

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
    unpacked, packed = sum(file.size for file in files), path.stat().st_size
    if unpacked > max(RATIO_FROM, MAX_RATIO * packed):
        raise UserError(
            f"{path}: {packed / 1e6:.1f} MB would unpack to {unpacked / 1e9:.1f} GB, as no archive of images does: "
            "unpack it yourself, and name the folder, if that is right"
        )
    return files


def entry_problem(entry: PackedEntry, regular: dict[str, PackedEntry]) -> str | None:
    """Return why an entry must not be unpacked, None when it may."""
    if entry.kind == "unusable":
        return "is a device, encrypted, sparse or of another kind that is not unpacked"
    if entry.kind == "method":
        return "is compressed by a method that is not read (stored and deflated are): pack it again, e.g. as .tar"
    if entry.kind == "link" and entry.target is None:
        return "is a link that leads out of the archive"
    if entry.kind == "link" and entry.target not in regular:
        return "is a link to a folder, to another link or to nothing"
    return name_problem(entry.name)
