"""DICOM slices and 16-bit grey images come out with the right grey values."""

import io
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
)

from stages.core.run.errors import UserError
from stages.core.runtime.reading import Window, apply_window, read_image, whole_range
from tests.dicom_files import write_dicom
from tests.table import new_folder, violations

STORED = np.array([[0, 964, 1024, 1064], [1103, 1104, 1124, 4095]])  # -1024, -60, 0, 40; 79, 80, 100, 3071 HU


def test_the_window_function_by_hand() -> None:
    """Level 40, width 80: black up to -0 HU, white from 80 HU (PS3.3: c - 0.5 -+ (w - 1) / 2 = 0 and 79)."""
    values = np.array([[-5, 0, 79, 80]])
    assert apply_window(values, Window(level=40, width=80)).tolist() == [[0, 0, 255, 255]]
    assert apply_window(np.array([[39, 40]]), Window(level=40, width=80)).tolist() == [[126, 129]]
    assert apply_window(np.array([[7, 7]]), whole_range(np.array([[7, 7]]))).tolist() == [[128, 128]]
    assert apply_window(np.array([[3, 9]]), whole_range(np.array([[3, 9]]))).tolist() == [[0, 255]]


def test_a_slice_through_its_own_window(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", STORED, WindowCenter=40, WindowWidth=80)
    image = read_image(tmp_path / "a.dcm")
    assert image.shape == (2, 4, 3)
    assert image[..., 0].tolist() == [[0, 0, 0, 129], [255, 255, 255, 255]]
    assert (image[..., 0] == image[..., 2]).all()


def test_a_window_of_the_params_and_several_in_the_file(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", STORED, WindowCenter=[40, 500], WindowWidth=[80, 2000])
    assert read_image(tmp_path / "a.dcm")[1, 2, 0] == 255
    wide = read_image(tmp_path / "a.dcm", Window(level=500, width=2000))[..., 0]
    assert wide.tolist() == apply_window(STORED - 1024, Window(level=500, width=2000)).tolist()
    assert 0 < wide[1, 2] < 255


def test_without_a_window_the_whole_range_counts(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a", STORED)  # a suffix is not needed
    grey = read_image(tmp_path / "a")[..., 0]
    assert (grey[0, 0], grey[1, 3]) == (0, 255)
    assert grey[0, 2] == round(1024 / 4095 * 255)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_entries_that_are_empty_or_not_finite_count_as_absent(tmp_path: Path) -> None:
    def check(value: str | None, name: str) -> None:
        folder = new_folder(tmp_path)
        plain = {"WindowCenter": 0, "WindowWidth": 3000} if name.startswith("Rescale") else {}
        other = {"WindowWidth": 80, "WindowCenter": 40} if name.startswith("Window") else {}
        write_dicom(folder / "a.dcm", STORED, **{**other, **plain, name: value})
        left_out = {"RescaleSlope": 1, "RescaleIntercept": 0} if name == "RescaleIntercept" else {}
        write_dicom(folder / "b.dcm", STORED, **plain, **left_out)
        assert read_image(folder / "a.dcm").tolist() == read_image(folder / "b.dcm").tolist()
        assert len(np.unique(read_image(folder / "a.dcm"))) > 2

    names = ["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"]
    assert violations(check, product([None, "nan", "inf"], names)) == []


def test_padding_is_no_part_of_the_whole_range(tmp_path: Path) -> None:
    framed = np.array([[63_536, 63_536, 63_540, 100], [200, 300, 400, 500]])
    for changes in ({}, {"PixelPaddingRangeLimit": 63_540}):  # with it 63540 is padding, too
        write_dicom(tmp_path / "a.dcm", framed, PixelPaddingValue=63_536, **changes)
        grey = read_image(tmp_path / "a.dcm")[..., 0]
        assert (grey[1, 3] == 255) == bool(changes)
    assert grey[0, 3] == 0
    signed = framed.astype(np.uint16).astype(np.int16)  # -2000, -2000, -1996, 100, ...
    data = pydicom.dcmread(tmp_path / "a.dcm")
    data.PixelRepresentation, data.PixelData = 1, signed.tobytes()
    data["PixelPaddingValue"].VR, data["PixelPaddingRangeLimit"].VR = "US", "US"  # as some devices write it
    data.save_as(tmp_path / "signed.dcm")
    assert read_image(tmp_path / "signed.dcm")[..., 0].tolist()[1] == grey.tolist()[1]


def test_values_that_are_not_finite_are_damage(tmp_path: Path) -> None:
    values = np.array([[0, np.nan]], dtype="<f4")
    write_dicom(tmp_path / "a.dcm", np.zeros((1, 2)), BitsAllocated=32, FloatPixelData=values.tobytes())
    data = pydicom.dcmread(tmp_path / "a.dcm")
    del data.PixelData, data.PixelRepresentation, data.BitsStored, data.HighBit
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(UserError, match=r"a\.dcm: .*values that are not finite"):
        read_image(tmp_path / "a.dcm")


def test_a_slice_without_its_header_is_read(tmp_path: Path) -> None:
    def check(syntax: str) -> None:
        folder = new_folder(tmp_path)
        write_dicom(folder / "whole.dcm", STORED, WindowCenter=40, WindowWidth=80)
        data = pydicom.dcmread(folder / "whole.dcm")
        data.file_meta, data.preamble = FileMetaDataset(), None
        implicit = syntax == ImplicitVRLittleEndian
        data.save_as(folder / "bare.dcm", implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        assert (folder / "bare.dcm").read_bytes()[128:132] != b"DICM"
        assert read_image(folder / "bare.dcm").tolist() == read_image(folder / "whole.dcm").tolist()

    assert violations(check, zip([ExplicitVRLittleEndian, ImplicitVRLittleEndian])) == []


def test_colours_are_read(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    eight = {"Rows": 1, "Columns": 2, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PlanarConfiguration": 0}
    rgb = {**eight, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PixelData": colours.tobytes()}
    write_dicom(tmp_path / "rgb.dcm", STORED, **rgb)
    assert read_image(tmp_path / "rgb.dcm").tolist() == colours.tolist()
    ybr = np.array([[[76, 85, 255], [29, 255, 107]]], dtype=np.uint8)  # BT.601 of red and blue
    write_dicom(
        tmp_path / "ybr.dcm", STORED, **{**rgb, "PhotometricInterpretation": "YBR_FULL", "PixelData": ybr.tobytes()}
    )
    assert np.abs(read_image(tmp_path / "ybr.dcm").astype(int) - colours).max() <= 2
    table = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, entries in (("Red", [0, 65535]), ("Green", [0, 0]), ("Blue", [65535, 0]))
        for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array(entries, dtype="<u2").tobytes()))
    }
    palette = {**eight, "PhotometricInterpretation": "PALETTE COLOR", "PixelData": b"\1\0"}
    write_dicom(tmp_path / "palette.dcm", STORED, **palette, **table)
    assert read_image(tmp_path / "palette.dcm").tolist() == colours.tolist()


def test_a_file_deflated_as_a_whole_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one can hold gigabytes, in a private element, too."""

    def check(far: int, preamble: bool) -> None:
        folder = new_folder(tmp_path)
        write_dicom(folder / "a.dcm", STORED)
        data = pydicom.dcmread(folder / "a.dcm")
        data.add_new(0x00091001, "OB", bytes(1_000_000))
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        data.file_meta.PrivateInformationCreatorUID, data.file_meta.PrivateInformation = "1.2", bytes(far)
        meta = data.file_meta
        syntax = meta["TransferSyntaxUID"]
        del meta["TransferSyntaxUID"]
        meta[syntax.tag] = syntax
        data.save_as(folder / "a.dcm")
        if not preamble:
            content = (folder / "a.dcm").read_bytes()
            (folder / "a.dcm").write_bytes(content[132:])
        with pytest.raises(UserError, match=r"a\.dcm: is a DICOM file deflated as a whole: save it without that"):
            read_image(folder / "a.dcm")

    monkeypatch.setattr("zlib.decompress", Mock(side_effect=AssertionError("inflated")))
    assert violations(check, product([0, 100_000], [True, False])) == []


def test_a_compressed_picture_larger_than_its_header_says_is_not_decoded(tmp_path: Path) -> None:
    for form, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)):
        picture = io.BytesIO()
        Image.new("L", (64, 32), 7).save(picture, form)
        eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "RescaleIntercept": 0}
        for rows, columns in ((32, 64), (2, 4)):
            write_dicom(tmp_path / "a.dcm", np.zeros((rows, columns)), **eight, WindowCenter=128, WindowWidth=256)
            data = pydicom.dcmread(tmp_path / "a.dcm")
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = encapsulate([picture.getvalue()])
            data.save_as(tmp_path / "a.dcm")
            if rows == 32:
                assert (read_image(tmp_path / "a.dcm") == 7).all()
        with pytest.raises(UserError, match="its picture is 64 x 32, its header says 4 x 2"):
            read_image(tmp_path / "a.dcm")


def test_the_files_own_table_of_grey_values(tmp_path: Path) -> None:
    """Values up to 964 - 1024 HU are its first entry, from there on one entry each, and the last one beyond."""
    for bits, entries, expected in (
        (8, [255, 100, 0], [255, 255, 0, 0, 0, 0, 0, 0]),
        (12, [4095, 2048, 0], [255, 255, 0, 0, 0, 0, 0, 0]),
    ):
        table = pydicom.Dataset()
        table.add_new("LUTDescriptor", "SS", [3, -60, bits])
        table.add_new("LUTData", "US", entries)
        write_dicom(tmp_path / "a.dcm", STORED, VOILUTSequence=[table], WindowCenter=40, WindowWidth=80)
        assert read_image(tmp_path / "a.dcm")[..., 0].ravel().tolist() == expected
        stored = STORED.copy()
        stored[0, 2] = 965
        write_dicom(tmp_path / "a.dcm", stored, VOILUTSequence=[table])
        assert read_image(tmp_path / "a.dcm")[0, 2, 0] == (100 if bits == 8 else 128)
        wide = read_image(tmp_path / "a.dcm", Window(level=500, width=2000))[..., 0]
        assert wide.tolist() == apply_window(stored - 1024, Window(level=500, width=2000)).tolist()


def test_the_function_of_the_files_window(tmp_path: Path) -> None:
    def check(function: str | None) -> None:
        folder = new_folder(tmp_path)
        write_dicom(folder / "a.dcm", STORED, WindowCenter=40, WindowWidth=80, VOILUTFunction=function)
        data = pydicom.dcmread(folder / "a.dcm")
        levels = apply_windowing(STORED - 1024, data)  # spread over -1024 to 64511
        expected = (levels + 1024) / 65_535 * 255
        np.testing.assert_allclose(read_image(folder / "a.dcm")[..., 0], expected, atol=0.5001)

    assert violations(check, zip(["LINEAR", "LINEAR_EXACT", "SIGMOID"])) == []
    write_dicom(tmp_path / "a.dcm", STORED, WindowCenter=40, WindowWidth=80, VOILUTFunction="CUBIC")
    with pytest.raises(UserError, match=r"a\.dcm: is a DICOM file whose window is of the function CUBIC"):
        read_image(tmp_path / "a.dcm")


def test_a_compression_without_decoder_is_named(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", STORED)
    data = pydicom.dcmread(tmp_path / "a.dcm")
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(UserError, match=r"a\.dcm: is a DICOM file compressed as JPEG Lossless.*save it uncompressed"):
        read_image(tmp_path / "a.dcm")


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", STORED, PhotometricInterpretation="MONOCHROME1")
    assert read_image(tmp_path / "a.dcm")[0, 0, 0] == 255


def test_slices_that_cannot_be_read(tmp_path: Path) -> None:
    def check(changes: dict[str, Any], message: str) -> None:
        folder = new_folder(tmp_path)
        write_dicom(folder / "a.dcm", STORED, **changes)
        with pytest.raises(UserError, match=message):
            read_image(folder / "a.dcm")

    rows = [
        ({"NumberOfFrames": 2}, r"a\.dcm: is a DICOM file with 2 frames: save the slices one by one"),
        ({"PhotometricInterpretation": "CMYK"}, r"a\.dcm: is a DICOM file of kind CMYK: save it as PNG"),
        ({"PhotometricInterpretation": "RGB"}, r"a\.dcm: is a DICOM file with 16 bits a colour: save it as PNG of 8"),
        ({"Rows": None}, r"a\.dcm: is unreadable, truncated or damaged \(DICOM: without Rows\)"),
        ({"PixelData": None}, r"a\.dcm: is unreadable, truncated or damaged \(DICOM: without pixels\)"),
        ({"PixelData": b"\0\0"}, r"a\.dcm: is unreadable, truncated or damaged"),
        ({"Rows": 20_000, "Columns": 20_000}, r"a\.dcm: .*20000 x 20000 pixels: at most 100000000 can be read"),
    ]
    assert violations(check, rows) == []


def test_a_window_of_a_16_bit_image(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 1100, 1200, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 4, 4, 5, 255]
    narrow = read_image(tmp_path / "a.png", Window(level=1100.5, width=201))[0, :, 0]
    assert narrow.tolist() == [0, 0, 128, 255, 255]


def test_a_window_of_an_8_bit_image_is_refused(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(
        UserError, match=r"a\.png: a window is for 16-bit grey and DICOM images, this one is L: remove `window`"
    ):
        read_image(tmp_path / "a.png", Window(level=1, width=2))
