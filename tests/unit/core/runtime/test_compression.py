"""What a file's compression lost, by its header, and where that differs from the training images."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.core.runtime.compression import Compression, FileKinds, compression_of, is_lossy, kinds_of
from stages.core.runtime.pictures import unlike_training
from tests.table import violations

LOSSLESS, LOSSY = FileKinds(("PNG",), False, True, None), FileKinds(("JPEG",), True, False, 6.0)


def saved(path: Path, **options: Any) -> Path:
    picture = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path, **options)
    return path


def test_the_header_says_whether_something_was_lost(tmp_path: Path) -> None:
    def check(name: str, options: dict[str, Any], kind: str, lossy: bool | None) -> None:
        found = compression_of(saved(tmp_path / name, **options))
        assert (found.kind, found.lossy) == (kind, lossy)

    rows = [
        ("a.png", {}, "PNG", False),
        ("a.bmp", {}, "BMP", False),
        ("a.jpg", {}, "JPEG", True),
        ("named.png", {"format": "JPEG"}, "JPEG", True),
        ("a.gif", {}, "GIF", True),
        ("a.tif", {}, "TIFF", False),
        ("b.tif", {"compression": "jpeg"}, "TIFF", True),
        ("a.webp", {"quality": 80}, "WEBP", True),
        ("b.webp", {"lossless": True, "exif": b"Exif\0\0"}, "WEBP", False),
        ("c.webp", {"save_all": True, "append_images": [Image.new("RGB", (48, 40))]}, "WEBP", True),
        ("a.jp2", {"irreversible": True}, "JPEG2000", True),
        ("b.jp2", {"irreversible": False}, "JPEG2000", None),
        ("c.jp2", {"irreversible": False, "quality_mode": "rates", "quality_layers": [20]}, "JPEG2000", None),
    ]
    assert violations(check, rows) == []


def test_a_tiff_may_hold_what_is_lossy_or_not() -> None:
    """JPEG 2000 in TIFF, which Pillow does not write."""
    found = [is_lossy("TIFF", SimpleNamespace(tag_v2={259: number}), BytesIO()) for number in (1, 7, 34712)]  # type: ignore[arg-type]
    assert found == [False, True, None]


def test_the_mean_step_is_that_of_the_luma_table(tmp_path: Path) -> None:
    """The standard's table has a mean of 57.6 at quality 50."""
    assert compression_of(saved(tmp_path / "a.jpg", quality=50)).step == pytest.approx(57.6, abs=0.1)
    assert compression_of(saved(tmp_path / "b.png")).step is None


def test_only_what_is_known_to_differ_is_said() -> None:
    jpeg, png = Compression("JPEG", True, 29.0), Compression("PNG", False)
    rows: list[tuple[FileKinds, Compression, str | None]] = [
        (LOSSLESS, jpeg, "JPEG (lossy), training images PNG (lossless)"),
        (LOSSLESS, Compression("TIFF", False), None),
        (LOSSLESS, Compression("WEBP", None), None),
        (LOSSY, png, "PNG (lossless), training images JPEG (lossy)"),
        (LOSSY, jpeg, "JPEG with rounding steps of 29, training images up to 6"),
        (LOSSY, Compression("JPEG", True, 7.0), None),
        (FileKinds(("JPEG", "PNG"), True, True, 30.0), png, None),
        (FileKinds(("JPEG", "PNG"), True, True, 30.0), jpeg, None),
    ]
    assert [known.difference(other) for known, other, _ in rows] == [said for *_, said in rows]


def test_training_images_are_summed_up() -> None:
    assert kinds_of([]) is None
    assert kinds_of([Compression("PNG", False), Compression("BMP", False)]) == FileKinds(
        ("BMP", "PNG"), False, True, None
    )
    mixed = kinds_of([Compression("JPEG", True, 6.0), Compression("JPEG", True, 3.0), Compression("DICOM", None)])
    assert mixed == FileKinds(("DICOM", "JPEG"), True, True, 6.0)


def test_the_note_names_both(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", quality=75)
    assert unlike_training(path, None, LOSSLESS) == "JPEG (lossy), training images PNG (lossless)"
    assert unlike_training(path, None, None) is None
