"""What the predict command takes for an image, what it skips, and that everything is accounted for."""

import io
import os
import shutil
import socket
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset

from commands.predict.inputs import Inputs, find_images
from commands.predict.kinds import look_at
from commands.predict.marker import write_marker
from stages.core.run.errors import UserError
from tests.table import new_folder, violations

HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(60)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def encoded(form: str) -> bytes:
    """A small picture in a format of Pillow's."""
    content = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(content, format=form)
    return content.getvalue()


PNG, JPEG = encoded("PNG"), encoded("JPEG")


def write(*names: str, content: bytes = PNG) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def find(*given: str, output: str = "out") -> Inputs:
    return find_images([Path(name) for name in given], output=Path(output))


def found(*given: str, output: str = "out") -> list[str]:
    return [str(path) for path in find(*given, output=output).images]


def skipped(inputs: Inputs) -> dict[str, str]:
    return {str(entry.path): entry.reason for entry in inputs.skipped}


def unreadable(inputs: Inputs) -> dict[str, str]:
    return {str(entry.path): entry.error for entry in inputs.unreadable}


def test_folders_are_searched_in_order() -> None:
    write("b/2.PNG", "b/1.jpg", "b/a/3.tiff", "b/.hidden.png", "b/.cache/4.png", "b/out/heatmaps/5.jpg")
    write("b/notes.txt", content=b"a note")
    inputs = find("b", output="b/out")
    assert [str(path) for path in inputs.images] == ["b/1.jpg", "b/2.PNG", "b/a/3.tiff"]
    assert skipped(inputs) == {
        "b/.cache": "is a hidden folder", "b/out": "holds results of this command", "b/.hidden.png": "is hidden",
        "b/notes.txt": "is no image by its content",
    }  # fmt: skip
    assert found("b/2.PNG", "b") == ["b/2.PNG", "b/1.jpg", "b/a/3.tiff", "b/out/heatmaps/5.jpg"]
    write_marker(Path("b/out"), run="x", complete=False, about={})
    assert found("b") == ["b/1.jpg", "b/2.PNG", "b/a/3.tiff"]


def dicom(*, preamble: bool) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = pydicom.uid.ExplicitVRLittleEndian, "1.2"
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    data = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Modality, data.Rows = meta.MediaStorageSOPClassUID, "CT", 1
    content = io.BytesIO()
    data.save_as(content, enforce_file_format=True)
    return content.getvalue() if preamble else content.getvalue()[132:]


def test_an_image_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(form: str, name: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write(f"b/{name}", content=encoded(form))
        assert found("b") == [f"b/{name}"]

    forms = ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000"]
    names = ["scan", "a.jfif", "b.JPe", "IMG.0001", "x.dat", "photo.jpg.bak"]
    assert violations(check, product(forms, names)) == []


def test_dicom_and_what_is_only_called_an_image_go_to_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader says what is wrong with the last."""

    def check(name: str, content: bytes) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write(f"b/{name}", content=content)
        assert found("b") == [f"b/{name}"]

    rows = [
        ("IM000001", dicom(preamble=True)), ("1.2.840.1", dicom(preamble=True)), ("x.ima", dicom(preamble=True)),
        ("IM000001", dicom(preamble=False)), ("a.DCM", dicom(preamble=False)), ("a.png", b"<html>not found</html>"),
    ]  # fmt: skip
    assert violations(check, rows) == []


def test_an_image_that_cannot_be_read_is_unreadable_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(name: str, content: bytes, problem: str) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write("b/good.png")
        write(f"b/{name}", content=content)
        inputs = find("b")
        assert len(inputs.skipped) == 0
        assert list(unreadable(inputs)) == [f"b/{name}"]
        (alone,) = find(f"b/{name}").unreadable
        assert alone.error.startswith(problem)

    rows = [
        ("IMG_0.HEIC", HEIC, "is of kind HEIC or AVIF, which is not read: convert it to PNG or JPEG; an iPhone"),
        ("IMG_0", HEIC, "is of kind HEIC or AVIF"),
        ("a.jpg", encoded("AVIF"), "is of kind HEIC or AVIF"),
        ("a.cr2", encoded("TIFF"), "is of kind camera raw"),
        ("a", b"8BPS\0\1" + bytes(20), "is of kind Photoshop"),
        ("a", b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "is of kind SVG"),
        ("a.tga", encoded("TGA"), "is of kind Targa"),
        ("a.ico", encoded("ICO"), "is of kind icon"),
        ("a.PNG", b"", "is empty (0 bytes)"),
    ]
    assert violations(check, rows) == []


def test_what_is_no_image_is_skipped_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(content: bytes) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        write("b/good.png")
        write("b/other", content=content)
        inputs = find("b")
        assert [str(path) for path in inputs.images] == ["b/good.png"]
        assert list(skipped(inputs)) == ["b/other"]
        assert len(inputs.unreadable) == 0

    values = [
        b"", b"text", b"%PDF-1.7", b"PK\3\4", b"\x7fELF", b"BM is how this note begins", b"P1 is a plan", bytes(600),
        b"\0\0\0\x18ftypisom\0\0\0\0mp42", b"II is two", b"filename,score\n", b"\xff\xfe\0",
    ]  # fmt: skip
    assert violations(check, zip(values)) == []


def test_the_index_of_a_dicom_export_is_no_image() -> None:
    write("b/DICOMDIR", "b/IM1", content=dicom(preamble=True))
    inputs = find("b")
    assert [str(path) for path in inputs.images] == ["b/IM1"]
    assert skipped(inputs) == {"b/DICOMDIR": "is the index of a DICOM folder"}


def test_pipes_sockets_devices_and_links_never_hang_and_are_named(tmp_path: Path) -> None:
    write("b/good.png")
    os.mkfifo("b/pipe.png")
    os.mkfifo("b/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("b/socket")
    Path("b/zero.png").symlink_to("/dev/zero")
    Path("b/gone.png").symlink_to("nothing")
    Path("b/gone").symlink_to("nothing")
    Path("b/self.png").symlink_to("self.png")
    Path("b/one").symlink_to("two")
    Path("b/two").symlink_to("one")
    Path("b/again").symlink_to("..", target_is_directory=True)
    inputs = find("b")
    assert [str(path) for path in inputs.images] == ["b/good.png"]
    assert unreadable(inputs) == {
        "b/pipe.png": "is a named pipe, not a file", "b/zero.png": "is a device, not a file",
        "b/gone.png": "is a link to nothing", "b/self.png": "is a link that leads back to itself",
    }  # fmt: skip
    assert skipped(inputs) == {
        "b/pipe": "is a named pipe, not a file", "b/socket": "is a socket, not a file",
        "b/gone": "is a link to nothing",
        "b/one": "is a link that leads back to itself", "b/two": "is a link that leads back to itself",
        "b/again": "is a link to a folder: name it to have it searched",
    }  # fmt: skip
    named = find("b/pipe", "b/one", "b/gone", "b/good.png", "missing.png", "a" * 300)
    assert list(unreadable(named)) == ["b/pipe", "b/one", "b/gone", "missing.png", "a" * 300]


def test_a_folder_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as root, who may open all."""
    write("b/good.png", "b/locked/x.png")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    inputs = find("b")
    assert [str(path) for path in inputs.images] == ["b/good.png"]
    assert unreadable(inputs) == {"b/locked": "cannot be opened (Permission denied)"}


def test_a_file_that_cannot_be_opened_may_be_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    write("b/good.png", "b/locked")
    opening = os.open

    def refusing(path: Path, flags: int) -> int:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, flags)

    monkeypatch.setattr(os, "open", refusing)
    assert unreadable(find("b")) == {"b/locked": "cannot be opened (Permission denied)"}


def test_a_file_counts_once() -> None:
    write("b/1.png")
    Path("b/2.png").symlink_to("1.png")
    Path("linked").symlink_to("b", target_is_directory=True)
    assert found("b", "./b/1.png", str(Path("b/1.png").resolve()), "linked") == ["b/1.png"]


def test_no_image_at_all(caplog: pytest.LogCaptureFixture) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match=r"no image found in empty: name image files, or folders of them"):
        find("empty")
    write("notes/a.txt", content=b"text")
    with pytest.raises(UserError, match=r"no image found in notes; notes/a\.txt: is no image by its content: name im"):
        find("notes")
    write("a.png")
    assert found("empty", "a.png") == ["a.png"]
    assert "empty: no image in it" in caplog.text


def test_a_pipe_in_place_of_a_file_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came between the look at its kind and the opening."""
    write("a.png", "b")
    status = Path("a.png").stat()
    shutil.rmtree("b", ignore_errors=True)
    Path("a.png").unlink()
    os.mkfifo("a.png")
    monkeypatch.setattr(Path, "stat", lambda self, **_: status)
    assert look_at(Path("a.png")).problem is None  # empty: the reader says what is wrong
