"""The files of a .tar, .tar.gz, .tar.xz or .zip archive, all checked before the first one is written."""

import io
import stat
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from stages.core.run.errors import UserError
from stages.download.source_files import SourceFile, link_target, name_problem, refuse_unsafe

ENCRYPTED = 0x1  # bit of a zip entry's flags
TAR_BLOCK = 512  # bytes
CHUNK = 1 << 20  # bytes, whole blocks
LONGEST_LINK = 4096  # bytes
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others a small entry can take all memory
MAX_RATIO, RATIO_FROM = 100, 1_000_000_000  # times the archive's own size, from how many bytes on
Kind = Literal["file", "link", "unusable", "method"]
LONGEST_HEADER = 1_000_000  # bytes of what tar puts before a file: long names, attributes
HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


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


class CheckedHeader(tarfile.TarInfo):
    """A header of a tar archive, which is read as a whole, or names where the next one is: its size is checked."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "CheckedHeader":
        """Read a header.

        Raises:
            ValueError: its size is negative, or what it announces is no name and no attributes.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0:
            raise ValueError(f"{header.name!r} has a negative size")
        if header.type in HEADERS and header.size > LONGEST_HEADER:
            raise ValueError(f"a name or attributes of {header.size} bytes")
        return header


class Unpacked(io.RawIOBase):
    """The content of an archive's file, as long as it is announced; whatever the unpacker raises names the archive."""

    def __init__(self, path: Path, name: str, size: int, content: Callable[[], IO[bytes]]) -> None:
        self.path, self.name, self.left = path, name, size
        with self.blamed():
            self.content = content()

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Turn any exception of the block into a UserError."""
        try:
            yield
        except Exception as error:
            raise not_readable(self.path, f"{self.name}: {error or type(error).__name__}") from None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what fits into a buffer; 0 at the end.

        Raises:
            UserError: the content is damaged, shorter or longer than announced.
        """
        with self.blamed():
            some = self.content.read(len(buffer))
            self.left -= len(some)
            if self.left < 0 or (self.left and not some):
                raise EOFError("is not as long as the archive says")
        buffer[: len(some)] = some
        return len(some)

    def close(self) -> None:
        """Close the content."""
        if not self.closed and hasattr(self, "content"):
            self.content.close()
        super().close()


def tar_entries(tape: tarfile.TarFile, most: int) -> list[PackedEntry]:
    """List every entry of a tar archive that is not a folder.

    Args:
        tape: the archive.
        most: bytes that its files may have together.

    Raises:
        tarfile.TarError: it is damaged, its closing block of zeros is missing (it ends between two files), or another
            archive follows it.
        Swollen: the files have more; it is not read further, as that may take very long.
    """
    members = list(tar_members(tape, most))
    check_end(tape, most)
    return [tar_entry(tape, member) for member in members if not member.isdir()]


def check_end(tape: tarfile.TarFile, most: int) -> None:
    """Read a tar archive from the end of its last file on; where it is compressed, the checksum stands at the end.

    Raises:
        tarfile.TarError: see `tar_entries`.
        Swollen: more than `most` bytes follow.
    """
    if tape.fileobj is None:
        return
    tape.fileobj.seek(tape.offset)
    if tape.fileobj.read(TAR_BLOCK) != bytes(TAR_BLOCK):
        raise tarfile.ReadError("the end is missing")
    following = 0
    while some := tape.fileobj.read(CHUNK):
        following += len(some)
        if tarfile.POSIX_MAGIC[:5] in some:
            raise tarfile.ReadError("another archive follows its end: unpack both")
        if following > most:
            raise Swollen(following)


def tar_members(tape: tarfile.TarFile, most: int) -> Iterator[tarfile.TarInfo]:
    """Yield the members; a damaged size could send the tape back, and the same member would come for ever.

    Raises:
        tarfile.TarError: a size is negative.
        Swollen: the members have more than `most` bytes.
    """
    total, end = 0, 0
    while (member := tape.next()) is not None:
        if member.size < 0 or member.offset < end:
            raise tarfile.ReadError(f"{member.name!r} has a negative size")
        total, end = total + (0 if member.issparse() else member.size), member.offset + 1
        if total > most:
            raise Swollen(total)
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
        with packed.open(member) as content:  # its size is announced, and may be a lie
            text = content.read(LONGEST_LINK)
        target = link_target(member.filename, text.decode("utf-8", errors="surrogateescape"))
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

    Links to regular files of the same archive count as the file they lead to, and follow it with the same `open`.

    Raises:
        UserError: it is not an archive or a damaged one, or would unpack to far more than it has; an entry has an
            unsafe name, leads out of the archive, is a device, is encrypted, or has the name of another entry or of
            another's folder.
    """
    packed = path.stat().st_size
    most = max(RATIO_FROM, MAX_RATIO * packed)
    with ExitStack() as opened:
        try:
            entries = list_entries(path, opened, most)
            files = safe_files(path, entries)
            if (unpacked := sum(file.size for file in files)) > most:
                raise Swollen(unpacked)
        except UserError:
            raise
        except Swollen as error:
            raise UserError(
                f"{path}: {packed / 1e6:.1f} MB would unpack to {error.size / 1e9:.1f} GB or more, as no archive of "
                "images does: unpack it yourself, and name the folder, if that is right"
            ) from None
        except Exception as error:  # both parsers raise whatever they like at damaged files
            raise not_readable(path, error or type(error).__name__) from None
        yield files


class Swollen(Exception):
    """An archive's files have together more bytes than those of any archive of images, at least `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def list_entries(path: Path, opened: ExitStack, most: int) -> list[PackedEntry]:
    """List every entry of an archive that is not a folder; it is left open for as long as `opened`.

    Args:
        path: of the archive.
        opened: closes it.
        most: bytes that its files may have together.
    """
    try:
        tape = tarfile.open(path, "r:*", tarinfo=CheckedHeader)  # noqa: SIM115 - closed by `opened`
    except tarfile.ReadError:
        return zip_entries(opened.enter_context(zipfile.ZipFile(path)))
    return tar_entries(opened.enter_context(tape), most)


def not_readable(path: Path, reason: object) -> UserError:
    """Make the error that a damaged archive ends in."""
    return UserError(
        f"{path}: not a readable .tar, .tar.gz, .tar.xz or .zip archive, or a truncated or damaged one "
        f"({reason}): fetch it again"
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
    links = defaultdict(list)
    for entry in entries:
        problem = entry_problem(entry, regular)
        if problem:
            problems.append(f"{entry.name}: {problem}")
        links[entry.target if entry.kind == "link" else entry.name].append(entry.name)
    refuse_unsafe(path, problems)
    files = []
    for name, content in regular.items():  # those of one content next to each other: going back takes a long time
        opener = partial(unpack, path, content)
        files += [SourceFile(link, content.size, opener) for link in links[name]]
    return files


def unpack(path: Path, entry: PackedEntry) -> IO[bytes]:
    """Open a file of an archive.

    Raises:
        UserError: it cannot be read, now or later.
    """
    return io.BufferedReader(Unpacked(path, entry.name, entry.size, entry.open), 1 << 20)


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
