"""Archives and folders: what is copied, and what is refused before anything is written."""

import io
import tarfile
import zipfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from stages.core.run.errors import UserError
from stages.download.source import open_source, write_dataset
from tests.table import new_folder, violations
from tests.unit.download.source_contents import contents

Entry = tuple[tarfile.TarInfo, bytes]


def file_entry(name: str, content: bytes = b"x") -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def link_entry(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def write_tar(path: Path, *entries: Entry, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tape:  # type: ignore[call-overload]
        for info, content in entries:
            tape.addfile(info, io.BytesIO(content))
    return path


def test_tar_archives(tmp_path: Path) -> None:
    entries = (file_entry("./a/Prüfling 1.png", b"one"), file_entry("b/零件.png", b"two"))
    for suffix, mode in ((".tar", "w"), (".tar.gz", "w:gz"), (".tar.xz", "w:xz")):
        archive = write_tar(tmp_path / f"data set{suffix}", *entries, mode=mode)
        assert contents(archive) == {"a/Prüfling 1.png": b"one", "b/零件.png": b"two"}


def test_zip_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.mkdir("a")
        packed.writestr("a/Prüfling 1.png", b"one")
        packed.writestr("b/零件.png", b"two", compress_type=zipfile.ZIP_DEFLATED)
    assert contents(tmp_path / "a.zip") == {"a/Prüfling 1.png": b"one", "b/零件.png": b"two"}


def test_links_inside_an_archive_are_the_file_they_lead_to(tmp_path: Path) -> None:
    archive = write_tar(
        tmp_path / "a.tar",
        file_entry("a/one", b"content"),
        link_entry("b/soft", "../a/one"),
        link_entry("b/hard", "a/one", tarfile.LNKTYPE),
    )
    assert contents(archive) == {"a/one": b"content", "b/soft": b"content", "b/hard": b"content"}


def test_unsafe_tar_entries_are_refused(tmp_path: Path) -> None:
    for entry, message in (
        (file_entry("../evil.png"), r"\.\./evil\.png: leaves its folder by '\.\.'"),
        (file_entry("a/../../evil.png"), "leaves its folder"),
        (file_entry("/etc/evil.png"), "/etc/evil.png: is an absolute path"),
        (file_entry("..\\evil.png"), "has a backslash"),
        (file_entry("a\nb.png"), "control character"),
        (link_entry("a/link", "../../outside"), "is a link that leads out of the archive"),
        (link_entry("a/link", "/etc/passwd"), "is a link that leads out of the archive"),
        (link_entry("a/link", "../../outside", tarfile.LNKTYPE), "is a link that leads out of the archive"),
        (link_entry("a/link", "link"), "is a link to a folder, to another link or to nothing"),
        (link_entry("a/link", "."), "is a link to a folder"),
        (link_entry("a/pipe", "", tarfile.FIFOTYPE), "is a device"),
        (link_entry("a/disk", "", tarfile.BLKTYPE), "is a device"),
        (file_entry("good.png"), "good.png: occurs 2 times"),
        (file_entry("good.png/deep/b.png"), "good.png: is a file, and the folder of other files"),
        (file_entry("./"), "is no name of a file"),
    ):
        archive = write_tar(tmp_path / "a.tar", file_entry("good.png"), entry)
        with pytest.raises(UserError, match=message), open_source(archive):
            pass


def test_all_unsafe_entries_are_listed_at_once(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", file_entry("../one"), file_entry("/two"), link_entry("three", "/etc"))
    with pytest.raises(UserError, match=r"(?s)3 unsafe entries.*\.\./one.*/two.*three"), open_source(archive):
        pass


def test_unsafe_zip_entries_are_refused(tmp_path: Path) -> None:
    for name, mode, content, message in (
        ("../evil.png", 0o100644, b"x", "leaves its folder"),
        ("/etc/evil.png", 0o100644, b"x", "is an absolute path"),
        ("a/link", 0o120777, b"../../outside", "leads out of the archive"),
        ("a/disk", 0o060644, b"", "is a device"),
    ):
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
            packed.writestr(info, content)
        with pytest.raises(UserError, match=message), open_source(tmp_path / "a.zip"):
            pass


def test_truncated_tar(tmp_path: Path) -> None:
    def check(mode: str) -> None:
        folder = new_folder(tmp_path)
        noise = bytes((i * 7919 + i // 7) % 256 for i in range(5000))
        whole = write_tar(folder / "a.tar", file_entry("a", noise), file_entry("b", noise[::-1] * 4), mode=mode)
        content = whole.read_bytes()
        for kept in (0.1, 0.7):
            whole.write_bytes(content[: int(len(content) * kept)])
            with pytest.raises(UserError, match="truncated or damaged"):
                contents(whole)

    assert violations(check, zip(["w", "w:gz", "w:xz"])) == []


def test_tar_that_ends_between_two_files(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", file_entry("a"), file_entry("b"))
    archive.write_bytes(archive.read_bytes()[:1024])  # header and content block of "a" only
    with pytest.raises(UserError, match="the end is missing"):
        contents(archive)


def test_compressed_tar_whose_checksum_is_wrong_or_missing(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", file_entry("a", b"content"), mode="w:gz")
    whole = archive.read_bytes()
    for damaged, message in ((whole[:-8] + bytes(8), "CRC check failed"), (whole[:-8], "truncated or damaged")):
        archive.write_bytes(damaged)
        with pytest.raises(UserError, match=message):
            contents(archive)


def test_what_follows_the_end_of_a_tar(tmp_path: Path) -> None:
    first, second = (write_tar(tmp_path / f"{name}.tar", file_entry(name)) for name in "ab")
    joined = tmp_path / "joined.tar"
    joined.write_bytes(first.read_bytes() + b"padding, as some programs leave it")
    assert contents(joined) == {"a": b"x"}
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(UserError, match="another archive follows its end: unpack both"):
        contents(joined)


def test_damaged_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a", b"content")
    damaged = (tmp_path / "a.zip").read_bytes().replace(b"content", b"CONTENT")
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(UserError, match="Bad CRC-32"):
        contents(tmp_path / "a.zip")


def test_no_archive_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("text", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.tar: not a readable \.tar"):
        contents(tmp_path / "a.tar")


def tar_header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar header with any size, in the base-256 form that tar allows."""
    info = tarfile.TarInfo(name)
    info.type = kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (256**12 + size).to_bytes(12, "big") if size < 0 else (2**95 + size).to_bytes(12, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def pax_size(size: int) -> bytes:
    """Attributes of the next file that say its size."""
    record = b" size=%d\n" % size
    record = b"%d" % (len(record) + 2) + record
    return tar_header("attributes", len(record), tarfile.XHDTYPE) + record.ljust(512, b"\0") + tar_header("b.png", 0)


def test_a_size_that_sends_the_tape_back_or_that_no_name_has(tmp_path: Path) -> None:
    first = tar_header("a.png", 0)

    def check(content: bytes, message: str) -> None:
        path = new_folder(tmp_path) / "a.tar"
        path.write_bytes(content + bytes(1024))
        with pytest.raises(UserError, match=rf"a\.tar: not a readable .*{message}"):
            contents(path)

    rows = [
        (first + tar_header("b.png", -512), "'b.png' has a negative size"),
        (tar_header("b.png", -1024), "'b.png' has a negative size"),
        (first + pax_size(-2048), "'b.png' has a negative size"),
        (first + tar_header("b.png", -512, tarfile.DIRTYPE), "'b.png' has a negative size"),
        (tar_header("x", 3_000_000_000, tarfile.GNUTYPE_LONGNAME), "a name or attributes of 3000000000 bytes"),
        (first + tar_header("x", 3_000_000_000, tarfile.XHDTYPE), "a name or attributes of 3000000000 bytes"),
    ]
    assert violations(check, rows) == []


def test_a_sparse_file_is_not_unpacked(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.png")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 0)  # one map of no bytes
    header[483:495] = b"%011o\0" % 3_000_000_000  # the size that it unpacks to
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(UserError, match="a.png: is a device, encrypted, sparse"):
        contents(tmp_path / "a.tar")


def test_zip_methods_that_are_not_read(tmp_path: Path) -> None:
    def check(method: int) -> None:
        folder = new_folder(tmp_path)
        with zipfile.ZipFile(folder / "a.zip", "w") as packed:
            packed.writestr("a.png", b"x", compress_type=zipfile.ZIP_STORED if method == 9 else method)
        if method == 9:  # deflate64, of Windows beyond 2 GB: Python cannot write it
            content = (folder / "a.zip").read_bytes()
            central = content.index(b"PK\x01\x02")
            patched = content[:8] + b"\x09\0" + content[10 : central + 10] + b"\x09\0" + content[central + 12 :]
            (folder / "a.zip").write_bytes(patched)
        with pytest.raises(UserError, match="a.png: is compressed by a method that is not read"):
            contents(folder / "a.zip")

    assert violations(check, zip([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9])) == []


def patched_zip(path: Path, **fields: bytes) -> Path:
    """A zip of one file, with some bytes of both of its headers replaced: what Python does not write itself."""
    places = {"flags": (6, 8), "method": (8, 10), "name": (30, 46)}  # in the local and in the central header
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.png", b"x" * 100, compress_type=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    for field, value in fields.items():
        for start in (places[field][0], central + places[field][1]):
            content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


def test_zips_of_other_programs(tmp_path: Path) -> None:
    def check(fields: dict[str, bytes], message: str) -> None:
        with pytest.raises(UserError, match=rf"a\.zip.*(\n.*)?{message}"):
            contents(patched_zip(new_folder(tmp_path) / "a.zip", **fields))

    method = "a.png: is compressed by a method that is not read"
    rows = [
        ({"method": b"\x09\0"}, method),  # deflate64, of Windows beyond 2 GB
        ({"method": b"\x5d\0"}, method),  # Zstandard
        ({"method": b"\x63\0", "flags": b"\x01\0"}, "encrypted"),  # AES
        ({"flags": b"\x41\0"}, "encrypted"),  # strong encryption
        ({"flags": b"\x40\0"}, "not a readable .*strong encryption"),
        ({"flags": b"\x20\0"}, "not a readable .*compressed patched data"),
        ({"flags": b"\0\x08", "name": b"\xe4"}, "not a readable .*utf-8"),  # said to be UTF-8, and it is not
        ({"name": b"\0"}, "not a readable "),
    ]
    assert violations(check, rows) == []


def test_zip_content_that_is_not_as_long_as_announced(tmp_path: Path) -> None:
    for announced in (10, 200):
        path = patched_zip(tmp_path / "a.zip")
        content = path.read_bytes()
        path.write_bytes(content.replace((100).to_bytes(4, "little"), announced.to_bytes(4, "little")))
        with pytest.raises(UserError, match=r"a\.zip: not a readable .*a\.png: "):
            contents(path)


def test_an_archive_that_would_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.download.archives.RATIO_FROM", 1_000_000)
    content = file_entry("a.png", bytes(300_000))
    links = [link_entry(f"{number}.png", "a.png") for number in range(4)]
    for name, entries, mode in (
        ("a.tar.xz", [file_entry("a.png", bytes(2_000_000))], "w:xz"),
        ("b.tar.gz", [file_entry("a.png", bytes(600_000)), file_entry("b.png", bytes(600_000))], "w:gz"),
        ("c.tar.xz", [content, *links], "w:xz"),
    ):
        archive = write_tar(tmp_path / name, *entries, mode=mode)
        with pytest.raises(UserError, match=rf"{name}: 0\.0 MB would unpack to 0\.0 GB or more, as no archive of im"):
            contents(archive)


def test_a_swollen_archive_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.download.archives.RATIO_FROM", 1000)
    (tmp_path / "a.tar").write_bytes(tar_header("a.png", 10**15))  # nothing follows: reading on would find that out
    with pytest.raises(UserError, match=r"would unpack to 1000000\.0 GB"):
        contents(tmp_path / "a.tar")


def test_links_cost_no_second_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a compressed archive the way back is as long as from its start."""
    names = [f"{number}.png" for number in range(4)]
    links = [link_entry(f"link_{number}_{name}", name) for number in range(3) for name in names]
    archive = write_tar(
        tmp_path / "a.tar.xz", *links, *(file_entry(name, name.encode()) for name in names), mode="w:xz"
    )
    opened: list[str] = []
    extract = tarfile.TarFile.extractfile
    monkeypatch.setattr(
        tarfile.TarFile, "extractfile", lambda tape, member: opened.append(member.name) or extract(tape, member)
    )
    with open_source(archive) as files:
        write_dataset(tmp_path / "data", files)
    assert opened == names
    written = {path.name: path.read_text() for path in (tmp_path / "data").iterdir()}
    assert written == {f"{prefix}{name}": name for name in names for prefix in ("", "link_0_", "link_1_", "link_2_")}


def test_errors_of_the_disk_are_not_the_archives(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", file_entry("a.png"))
    with pytest.raises(OSError, match="No space left"), open_source(archive):
        raise OSError(28, "No space left on device")


def test_any_exception_of_a_parser_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_tar(tmp_path / "a.tar", file_entry("a.png"))
    for error in (ValueError("sparse map"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), RecursionError()):
        with monkeypatch.context() as patch:
            patch.setattr(tarfile.TarFile, "next", Mock(side_effect=error))
            with pytest.raises(UserError, match=r"a\.tar: not a readable "):
                contents(archive)


def test_names_that_no_file_system_takes(tmp_path: Path) -> None:
    for name in ("a" * 300, "/".join(["ä" * 100] * 12), "a/" * 3000 + "a"):
        with pytest.raises(UserError, match="has more than 255 bytes, or 2000 with its folders"):
            contents(write_tar(tmp_path / "a.tar", file_entry(name)))
