"""What tar and zip archives say of their entries, in one form."""

import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Literal

from stages.download.source_file import link_target

ENCRYPTED = 0x1  # bit of a zip entry's flags
TAR_BLOCK = 512
LONGEST_LINK = 4096  # bytes

Kind = Literal["file", "link", "unusable"]


@dataclass(frozen=True)
class PackedEntry:
    """What an archive says of one of its entries, folders left out.

    Attributes:
        name: as written in the archive, with leading "./" dropped and nothing else.
        kind: "unusable" for devices, encrypted files and the like.
        target: of a link, the path below the archive's root that it leads to; None when it leaves the archive.
        size: bytes of the unpacked file.
        open: gives the unpacked content of a file.
    """

    name: str
    kind: Kind
    target: str | None
    size: int
    open: Callable[[], IO[bytes]]


def tar_entries(tape: tarfile.TarFile) -> list[PackedEntry]:
    """Every entry of a tar archive that is not a folder.

    Raises:
        tarfile.TarError: it is damaged, or its closing block of zeros is missing (it ends between two files).
    """
    members = tape.getmembers()
    if tape.fileobj is not None:
        tape.fileobj.seek(tape.offset)
        if tape.fileobj.read(TAR_BLOCK) != bytes(TAR_BLOCK):
            raise tarfile.ReadError("the end is missing")
    return [tar_entry(tape, member) for member in members if not member.isdir()]


def tar_entry(tape: tarfile.TarFile, member: tarfile.TarInfo) -> PackedEntry:
    target, kind = None, file_kind(regular=member.isreg(), link=member.issym() or member.islnk())
    if member.issym():
        target = link_target(member.name, member.linkname)
    elif member.islnk():  # a hard link names its target from the archive's root
        target = link_target("", member.linkname)
    return PackedEntry(plain(member.name), kind, target, member.size, partial(open_member, tape, member))


def open_member(tape: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tape.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} is not a regular file")
    return content


def zip_entries(packed: zipfile.ZipFile) -> list[PackedEntry]:
    """Every entry of a zip archive that is not a folder.

    Raises:
        zipfile.BadZipFile: it is damaged.
    """
    return [zip_entry(packed, member) for member in packed.infolist() if not member.is_dir()]


def zip_entry(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> PackedEntry:
    target, mode = None, stat.S_IFMT(member.external_attr >> 16)  # 0 in archives made on Windows
    kind = file_kind(regular=mode in (0, stat.S_IFREG), link=mode == stat.S_IFLNK)
    if member.flag_bits & ENCRYPTED or (kind == "link" and member.file_size > LONGEST_LINK):
        kind = "unusable"
    elif kind == "link":
        target = link_target(member.filename, packed.read(member).decode("utf-8", errors="surrogateescape"))
    return PackedEntry(plain(member.filename), kind, target, member.file_size, partial(packed.open, member))


def file_kind(*, regular: bool, link: bool) -> Kind:
    if link:
        return "link"
    return "file" if regular else "unusable"


def plain(name: str) -> str:
    """The name without "./" and doubled slashes; ".." and a leading slash stay to be refused."""
    return PurePosixPath(name).as_posix()
