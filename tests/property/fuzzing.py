"""Damages valid files at random and reads them, until the time is up: `python -m tests.property.fuzzing KIND SECONDS`.

A process of its own, so that a hang, a crash of a decoder and its memory are seen from outside. Prints what it tried as
JSON; the file that is being read is in the current folder, under the name that the last line of `trace` says.
"""

import io
import json
import logging
import random
import resource
import sys
import tarfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from commands.predict.kinds import look_at
from stages.core.images.grey_range import between
from stages.core.images.memory import memory_for
from stages.core.run.errors import UserError
from stages.core.runtime.reading import read_image, read_like_training
from stages.download.manifest import read_manifest
from stages.download.source import open_source, write_dataset
from stages.split.inspect_files import inspect_depth, inspect_image, inspect_mask
from stages.split.readers.industrial import read_csv, read_elpv, read_loco
from stages.split.readers.medical_tables import read_aptos2019, read_isic2018, read_medianomaly
from tests.dicom_files import write_dicom

Read = Callable[[Path], object]
Seed = tuple[str, bytes, tuple[Read, ...]]  # name, content, what reads it
EXTREMES = (
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\0\0\1\0",
    b"\x00\x01\x00\x00",
)
MEMORY = 6_000_000_000  # bytes of addresses


def main(kind: str, seconds: float) -> dict[str, object]:
    """Read damaged files of a kind; return how many, which exceptions were wrong, and the most memory, in bytes."""
    warnings.simplefilter("ignore")
    logging.disable()
    base = memory()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    seeds, failures, number, refused, until = list(SEEDS[kind]()), [], 0, 0, time.monotonic() + seconds
    others = [content for _, content, _ in seeds]
    with Path("trace").open("w") as trace:
        for name, content, reads in seeds:
            for read in reads:  # as it is, every file is sound
                attempt(read, Path(name), content)
        while time.monotonic() < until:
            name, content, reads = seeds[number % len(seeds)]
            damaged = damage(content, others, random.Random(f"{kind} {number}"))
            print(number, name, file=trace, flush=True)
            for read in reads:
                try:
                    attempt(read, Path(name), damaged)
                except UserError:
                    refused += 1
                except Exception:
                    failures.append(f"{kind} {number}, {name}: {traceback.format_exc()[-600:]}")
            number += 1
    return {"tried": number, "refused": refused, "failures": failures[:20], "memory": memory() - base}


def memory() -> int:
    """The most memory that this process has taken, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def attempt(read: Read, path: Path, content: bytes) -> None:
    """Read the content in a file of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    read(path)


def damage(content: bytes, others: list[bytes], generator: random.Random) -> bytes:
    """Change some bytes, cut, double, insert, or graft a part of another file."""
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4))):
        start = generator.randrange(len(changed)) if changed else 0
        if generator.random() < 0.5:
            start = min(start, generator.randrange(256))  # headers break more than pixels do
        end = min(len(changed), start + generator.choice((1, 4, 64, 1000)))
        match generator.randrange(8):
            case 0 | 1:
                changed[start : start + 1] = generator.randbytes(1)
            case 2 | 3:
                extreme = generator.choice(EXTREMES)[: generator.choice((1, 2, 4))]
                changed[start : start + len(extreme)] = extreme
            case 4:
                del changed[start:]
            case 5:
                del changed[start:end]
            case 6:
                changed[start:start] = changed[start:end]
            case 7:
                other = generator.choice(others)
                place = generator.randrange(len(other))
                changed[start:end] = other[place : place + end - start]
    return bytes(changed)


def noise(channels: int = 3, deep: bool = False) -> np.ndarray:
    """A small picture."""
    shape = (24, 20) if channels == 1 else (24, 20, channels)
    drawn = np.random.default_rng(channels).integers(0, 65_536 if deep else 256, size=shape)
    return drawn.astype(np.uint16 if deep else np.uint8)


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    """A picture in one of Pillow's formats."""
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def by_opencv(suffix: str, values: np.ndarray) -> bytes:
    """A picture of 16-bit colours."""
    return bytes(cv2.imencode(suffix, values)[1])


def plain(path: Path) -> None:
    """Read an image in every way."""
    look_at(path)
    memory_for(path)
    for read in (read_image, inspect_depth, inspect_image):
        read(path)


def like_training(path: Path) -> None:
    """Read an image as that of a product of 12 bits."""
    read_like_training(path, between(0, 4095))


IMAGE = (plain, like_training, inspect_mask)


def images() -> Iterator[Seed]:
    """Every kind of image that Pillow reads."""
    rgb, grey, rgba = Image.fromarray(noise()), Image.fromarray(noise(1)), Image.fromarray(noise(4))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a text"
    pages = {"save_all": True, "append_images": [grey.convert("RGB")]}
    contents = {
        "rgb.png": saved(rgb, "PNG", exif=exif), "palette.png": saved(rgb.quantize(7), "PNG", transparency=2),
        "alpha.png": saved(rgba, "PNG"), "deep.png": saved(Image.fromarray(noise(1, True)), "PNG"),
        "colour.png": by_opencv(".png", noise(3, True)), "rgb.jpg": saved(rgb, "JPEG", exif=exif),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True), "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "rgb.tif": saved(rgb, "TIFF", exif=exif), "lzw.tif": saved(rgb, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": saved(rgb, "TIFF", compression="jpeg"), "deep.tif": saved(Image.fromarray(noise(1, True)), "TIFF"),
        "colour.tif": by_opencv(".tif", noise(3, True)), "pages.tif": saved(rgb, "TIFF", **pages),
        "float.tif": saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "a.bmp": saved(rgb, "BMP"),
        "lossy.webp": saved(rgb, "WEBP"), "lossless.webp": saved(rgba, "WEBP", lossless=True),
        "moving.webp": saved(rgb, "WEBP", **pages), "a.gif": saved(rgb, "GIF", **pages), "a.ppm": saved(rgb, "PPM"),
        "a.jp2": saved(rgb, "JPEG2000"), "deep.pgm": b"P5 2 1 4095\n\1\2\3\4",
    }  # fmt: skip
    for name, content in contents.items():
        sound = tuple(read for read in IMAGE if not fails(read, Path(name), content))
        yield name, content, sound or IMAGE[:0]


def fails(read: Read, path: Path, content: bytes) -> bool:
    """Whether a sound file is refused, as a JPEG is for a mask."""
    try:
        attempt(read, path, content)
    except UserError:
        return True
    return False


def slices() -> Iterator[Seed]:
    """DICOM in several encodings."""
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PlanarConfiguration": 0}
    values = noise(1, True) % 4096
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [3, 0, 8])
    table.add_new("LUTData", "US", [0, 100, 255])
    rgb = {**eight, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PixelData": noise().tobytes()}
    for name, changes in {
        "plain": {}, "window": {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
        "table": {"VOILUTSequence": [table]}, "padding": {"PixelPaddingValue": 0}, "rgb": rgb,
        "inverted": {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 40, "WindowWidth": 400},
    }.items():  # fmt: skip
        write_dicom(Path("seed"), values, **changes)
        content = Path("seed").read_bytes()
        yield f"{name}.dcm", content, (plain,)
        if name == "plain":
            yield "bare", content[132:], (plain,)
    for name, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless), ("RLE", RLELossless)):
        write_dicom(Path("seed"), values, **eight, PixelData=noise(1).tobytes())
        data = pydicom.dcmread("seed")
        if name == "RLE":
            data.compress(syntax)
        else:
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = encapsulate([saved(Image.fromarray(noise(1)), name)])
        data.save_as("seed")
        yield f"{name}.dcm", Path("seed").read_bytes(), (plain,)


def tables() -> Iterator[Seed]:
    """Tables of labels, lists of defects, manifests."""

    def below(read: Read) -> tuple[Read, ...]:
        return ((lambda path: read(path.parent)),)

    rows = 'filename,is_anomalous,mask_path,defect_type,kind\na.png,0,,,\n"b,ä.png",1,m.png,=x,logical\n'
    yield "csv/labels.csv", rows.encode(), below(read_csv)
    yield "elpv/labels.csv", b"filename,probability,type\na.png,0.0,mono\nb.png,1.0,mono\n", below(read_elpv)
    Path("aptos/train_images").mkdir(parents=True)
    yield (
        "aptos/train.csv",
        b"id_code,diagnosis\n" + b"".join(b"i%d,0\n" % n for n in range(1100)),
        below(read_aptos2019),
    )
    for part in ("Training", "Test"):
        for name in ("Input", "GroundTruth"):
            Path(f"isic/ISIC2018_Task3_{part}_{name}").mkdir(parents=True)
        diagnoses = b"image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\na,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n"
        Path(f"isic/ISIC2018_Task3_{part}_GroundTruth/ISIC2018_Task3_{part}_GroundTruth.csv").write_bytes(diagnoses)
    table = "isic/ISIC2018_Task3_Test_GroundTruth/ISIC2018_Task3_Test_GroundTruth.csv"
    yield table, diagnoses, ((lambda path: read_isic2018(path.parents[1], test_part="test")),)
    Path("medi/images").mkdir(parents=True)
    yield "medi/data.json", b'{"train": {"0": ["a.png"]}, "test": {"0": ["b.png"], "1": []}}', below(read_medianomaly)
    yield "loco/defects_config.json", b'[{"pixel_value": 3, "defect_name": "x"}]', below(read_loco)
    manifest = {"url": "https://x.org/a", "sha256": "0" * 64, "file": "a", "size": "1", "licence": "CC0"}
    yield "manifest.json", json.dumps(manifest).encode(), (read_manifest,)


def archives() -> Iterator[Seed]:
    """Archives of files of text, long names and links."""

    def unpack(path: Path) -> None:
        with open_source(path) as files:
            write_dataset(Path("unpacked"), files)

    for suffix in ("tar", "tar.gz", "tar.xz", "pax.tar"):
        content = io.BytesIO()
        form = tarfile.PAX_FORMAT if suffix == "pax.tar" else tarfile.GNU_FORMAT
        with tarfile.open(
            fileobj=content, mode=f"w:{suffix.partition('.')[2].replace('tar', '')}", format=form
        ) as tape:
            for name in ("a.png", "ä/" + "b" * 120 + ".png"):
                info = tarfile.TarInfo(name)
                info.size = 300
                tape.addfile(info, io.BytesIO(noise(1).tobytes()[:300]))
            link = tarfile.TarInfo("c.png")
            link.type, link.linkname = tarfile.SYMTYPE, "a.png"
            tape.addfile(link)
        yield f"a.{suffix}", content.getvalue(), (unpack,)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, method in (("a.png", zipfile.ZIP_STORED), ("ä/b.png", zipfile.ZIP_DEFLATED)):
            packed.writestr(name, noise(1).tobytes(), compress_type=method)
    yield "a.zip", content.getvalue(), (unpack,)


SEEDS: dict[str, Callable[[], Iterator[Seed]]] = {
    "images": images, "slices": slices, "tables": tables, "archives": archives,
}  # fmt: skip

if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], float(sys.argv[2]))) + "\n")
