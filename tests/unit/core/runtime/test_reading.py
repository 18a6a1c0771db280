"""Reading images of every kind a user may bring."""

import io
import os
import struct
import zlib
from itertools import product
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image, ImageOps

from stages.core.run.errors import UserError
from stages.core.runtime.reading import read_image, resize_image
from tests.table import new_folder, violations

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_rgb_is_returned_as_stored(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "Größe 1.png")
    read = read_image(tmp_path / "Größe 1.png")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels)


def test_16_bit_grey_is_scaled_by_its_full_range(tmp_path: Path) -> None:
    # 128 / 257 = 0.498 and 129 / 257 = 0.502; 65406 / 257 = 254.498 and 65407 / 257 = 254.502
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        read = read_image(tmp_path / f"a.{suffix}")
        assert read[0].tolist() == [[v] * 3 for v in (0, 0, 1, 1, 128, 254, 255, 255)]


def test_grey_cmyk_and_palette_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (2, 1), 77).save(tmp_path / "grey.png")
    Image.new("CMYK", (2, 1), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, *BLUE])
    palette.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "grey.png")[0, 0].tolist() == [77, 77, 77]
    assert read_image(tmp_path / "cmyk.tif")[0, 0].tolist() == list(RED)
    assert read_image(tmp_path / "palette.png")[0, 0].tolist() == list(BLUE)


def test_transparent_pixels_are_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1), (*GREEN, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))  # a fifth of black on white: 255 * 0.8
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0].tolist() == [list(GREEN), [255, 255, 255], [204, 204, 204]]


def test_transparent_palette_entry_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, *RED])
    image.save(tmp_path / "a.png", transparency=1)
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [255, 255, 255]


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view: left becomes top
    image.save(tmp_path / "a.png", exif=exif)
    read = read_image(tmp_path / "a.png")
    assert read.shape == (2, 1, 3)
    assert read[:, 0].tolist() == [list(RED), list(BLUE)]


def test_exif_rotation_of_16_bit_images(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(np.array([[0], [65535]], dtype=np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png")[:, 0, 0].tolist() == [255, 0]


def test_every_orientation_is_that_of_pillow(tmp_path: Path) -> None:
    def check(orientation: int, kind: str) -> None:
        folder = new_folder(tmp_path)
        exif = Image.Exif()
        exif[0x0112] = orientation
        noise = np.random.default_rng(0).integers(0, 256, size=(5, 7, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "a", kind, exif=exif)
        with Image.open(folder / "a") as image:
            expected = np.array(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(read_image(folder / "a"), expected)

    assert violations(check, product(range(1, 9), ["PNG", "JPEG", "TIFF"])) == []


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_other_damage_in_exif_does_not_spoil_sound_pixels(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(8, 16, 3), dtype=np.uint8))
    # TIFF header, one directory of two entries: orientation 6, XResolution as text and not as a fraction
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x011A, 2, 3, b"72\0\0")
    noise.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + b"\0" * 4)
    assert read_image(tmp_path / "a.jpg").shape == (16, 8, 3)
    noise.save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + entries)
    assert read_image(tmp_path / "b.jpg").shape == (8, 16, 3)


def test_any_exception_of_a_decoder_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    for error in (TypeError("x"), AttributeError("x"), RecursionError(), MemoryError()):
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "convert", Mock(side_effect=error))
            with pytest.raises(UserError, match=r"a\.png: is unreadable, truncated or damaged \((x|\w+Error)\)"):
                read_image(tmp_path / "a.png")


def test_a_pipe_is_refused_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: is a pipe, a socket or a device, no file"):
        read_image(tmp_path / "a.png")


def test_a_phones_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(UserError, match=r"a\.jpg: is of kind HEIC or AVIF, which is not read: convert it to PNG"):
        read_image(tmp_path / "a.jpg")


def test_a_grey_file_of_12_bits_that_says_so_is_spread_over_them(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + np.array([4095, 2048], dtype=">u2").tobytes())
    assert read_image(tmp_path / "a.pgm")[0, :, 0].tolist() == [255, 128]


def test_first_image_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[0, 0].tolist() == list(RED)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.png: does not exist"):
        read_image(tmp_path / "nowhere.png")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"a\.png: is empty \(0 bytes\)"):
        read_image(tmp_path / "a.png")


def test_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not pixels", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.png: is not an image"):
        read_image(tmp_path / "a.png")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is unreadable"):
        read_image(tmp_path)


def test_truncated_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        content = io.BytesIO()
        Image.fromarray(noise).save(content, kind)
        (tmp_path / "a").write_bytes(content.getvalue()[: content.tell() * 2 // 3])
        with pytest.raises(UserError, match="a: is (unreadable, truncated or damaged|not an image)"):
            read_image(tmp_path / "a")


def test_32_bit_images_have_no_agreed_range(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match="32 bits a channel have no agreed range"):
        read_image(tmp_path / "a.tif")


def test_more_than_100_megapixels_are_refused_by_the_header(tmp_path: Path) -> None:
    for width, height in ((10_001, 10_000), (60_000, 60_000)):
        (tmp_path / "a.png").write_bytes(png_header(width, height))
        with pytest.raises(UserError, match=rf"is {width} x {height} pixels, more than 100 megapixels"):
            read_image(tmp_path / "a.png")


def test_100_megapixels_pass_the_size_check(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(10_000, 10_000))
    with pytest.raises(UserError, match="truncated or damaged"):  # and not: too large
        read_image(tmp_path / "a.png")


def test_resize_averages_when_shrinking_by_two() -> None:
    # the triangle filter of support 2 weighs the 4 columns of each half 3/7, 3/7, 1/7 inside the image's edge
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[:, 2:] = 210
    shrunk = resize_image(image, 2)
    assert shrunk.shape == (2, 2, 3)
    assert shrunk[0, :, 0].tolist() == [30, 180]


def test_resize_to_nothing() -> None:
    with pytest.raises(ValueError, match="size must be positive, not 0"):
        resize_image(np.zeros((2, 2, 3), dtype=np.uint8), 0)
