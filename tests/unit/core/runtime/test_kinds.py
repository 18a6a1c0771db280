"""Kinds of images by their first bytes."""

import os
from pathlib import Path

import pytest
from PIL import Image
from pydicom.uid import ImplicitVRLittleEndian

from stages.core.runtime.kinds import DICOM, FORMATS, image_kind
from tests.dicom_files import write_dicom_header
from tests.table import new_folder, violations


def test_every_readable_kind_is_told_by_its_content(tmp_path: Path) -> None:
    def check(kind: str) -> None:
        folder = new_folder(tmp_path)
        Image.new("RGB", (8, 8), "red").save(folder / "picture", format=kind)
        assert image_kind(folder / "picture") == kind

    assert violations(check, zip(FORMATS)) == []


def test_dicom_is_told_with_and_without_its_preamble(tmp_path: Path) -> None:
    write_dicom_header(tmp_path / "a", preamble=True)
    write_dicom_header(tmp_path / "b", preamble=False)
    write_dicom_header(tmp_path / "c", preamble=False, syntax=ImplicitVRLittleEndian)
    assert [image_kind(tmp_path / name) for name in "abc"] == [DICOM] * 3


def test_kinds_that_phones_make_are_told_though_they_are_not_read(tmp_path: Path) -> None:
    def check(head: bytes, kind: str) -> None:
        folder = new_folder(tmp_path)
        (folder / "a.jpg").write_bytes(head)
        assert image_kind(folder / "a.jpg") == kind

    rows = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC or AVIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "HEIC or AVIF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ]
    assert violations(check, rows) == []


def test_other_files_are_no_images_whatever_their_name(tmp_path: Path) -> None:
    def check(content: bytes) -> None:
        folder = new_folder(tmp_path)
        (folder / "a.png").write_bytes(content)
        assert image_kind(folder / "a.png") is None

    values = [
        b"",
        b"filename,is_anomalous\n",
        b"BMW parts, counted by hand",
        b"P6",
        b'{"shapes": []}',
        b"<svg/>",
        b"%!PS",
    ]
    assert violations(check, zip(values)) == []


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")  # reading it would wait for ever
    assert image_kind(tmp_path / "a.png") is None
    assert image_kind(tmp_path) is None


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image_kind(tmp_path / "a.png")
