"""DICOM slices and 16-bit grey images come out with the right grey values."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from stages.core.images.reading import Window, apply_window, read_image, whole_range
from stages.core.run.errors import UserError


def write_dicom(path: Path, values: np.ndarray, **changes: Any) -> None:
    """A CT slice: stored values 0..4095, Hounsfield units = stored - 1024."""
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=["a slice"])
    data.SOPClassUID = CTImageStorage
    data.Rows, data.Columns = values.shape[-2:]
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PhotometricInterpretation = "MONOCHROME2"
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = values.astype("<u2").tobytes()
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)


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


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", STORED, PhotometricInterpretation="MONOCHROME1")
    assert read_image(tmp_path / "a.dcm")[0, 0, 0] == 255


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"NumberOfFrames": 2}, r"a\.dcm: is unreadable.*2 frames: save the slices one by one"),
        ({"PhotometricInterpretation": "RGB"}, r"a\.dcm: .*kind RGB, readable are MONOCHROME1 and MONOCHROME2"),
        ({"PixelData": b"\0\0"}, r"a\.dcm: is unreadable, truncated or damaged"),
        ({"Rows": 20_000, "Columns": 20_000}, r"a\.dcm: .*20000 x 20000 pixels, at most 100000000"),
    ],
)
def test_slices_that_cannot_be_read(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_dicom(tmp_path / "a.dcm", STORED, **changes)
    with pytest.raises(UserError, match=message):
        read_image(tmp_path / "a.dcm")


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
