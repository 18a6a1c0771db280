"""The common form of a data set before it is split, and what its readers share: folders, masks, tables of labels."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from stages.core.images.reading import IMAGE_SUFFIXES, open_image
from stages.core.run.errors import UserError

LOSSY = ("JPEG", "MPO", "JPEG2000")


@dataclass(frozen=True)
class Record:
    """One image as its source describes it.

    Attributes:
        path: POSIX path below the data set's root.
        kind: normal, logical, structural or unspecified.
        defect_type: "good" for normal images.
        split: train, validation or test; None where the source brings none.
        mask_paths: POSIX paths below the data set's root, one a defect.
    """

    path: str
    kind: str
    defect_type: str
    split: str | None = None
    mask_paths: tuple[str, ...] = ()

    @property
    def image_id(self) -> str:
        """The path without the suffix of an image."""
        return without_suffix(self.path)

    @property
    def is_anomalous(self) -> bool:
        """Whether the image is not normal."""
        return self.kind != "normal"


@dataclass(frozen=True)
class Reading:
    """What a reader found.

    Attributes:
        findings: errors in the source, one line each, with the file's name.
        notes: what the user should know but is no error.
        excluded: images that the source's own labels call neither normal nor anomalous.
        defect_names: the defect that each pixel value of a mask stands for; empty where masks only mark yes or no.
    """

    records: tuple[Record, ...]
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    excluded: int = 0
    defect_names: Mapping[int, str] = field(default_factory=dict)


def without_suffix(path: str) -> str:
    """Remove the suffix of an image from a POSIX path; other dots are part of the name, as in DICOM's 1.2.840.10008."""
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else path


def subfolders(folder: Path) -> list[str]:
    """List the names of the folders in `folder`, sorted; none when it does not exist."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def files_in(root: Path, folder: str) -> tuple[list[str], list[str]]:
    """List the files directly in a folder.

    Args:
        root: of the data set.
        folder: POSIX path below `root`.

    Returns:
        Their POSIX paths below `root`, sorted, and a finding for each folder among them.
    """
    if not (root / folder).is_dir():
        return [], []
    names = sorted(path.name for path in (root / folder).iterdir())
    files = [f"{folder}/{name}" for name in names if (root / folder / name).is_file()]
    findings = [
        f"{folder}/{name}: is a folder where images are expected" for name in names if f"{folder}/{name}" not in files
    ]
    return files, findings


def masks_without_image(root: Path, folder: str, used: Collection[str]) -> list[str]:
    """Return a finding for each file below the folder of masks that no image uses."""
    masks = sorted(path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if path.is_file())
    return [f"{mask}: is a mask without an image: remove it or add its image" for mask in masks if mask not in used]


def read_mask(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Read a mask: 8-bit grey keeps its values, in any other kind what is not black becomes 255.

    Raises:
        UserError: the file is not a readable image, or of a lossy kind, in which edges have no exact value.
    """
    with open_image(path) as image:
        if image.format in LOSSY:
            raise ValueError(f"{image.format} blurs a mask's values, save it as PNG")
        return mask_values(ImageOps.exif_transpose(image))


def mask_values(image: Image.Image) -> UInt8[np.ndarray, "H W"]:
    """Decode an opened mask, see `read_mask`."""
    if image.mode == "L":
        return np.array(image)
    if image.mode in ("P", "PA", "LA", "RGBA", "CMYK"):  # by colour; transparency does not mark a defect
        image = image.convert("RGB")
    values = np.atleast_3d(np.asarray(image))
    return np.where(values.any(axis=2), 255, 0).astype(np.uint8)


def read_label_table(path: Path, required: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Read the column names and the rows of a CSV file, without blanks around values.

    A missing value is "", surplus ones are below "".

    Raises:
        UserError: the file is missing, not UTF-8 text, or lacks a required column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restkey="", restval="")
            rows = [{(name or "").strip(): str(value).strip() for name, value in row.items()} for row in table]
            columns = [name.strip() for name in table.fieldnames or ()]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the data set's labels are in a table of that name") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a comma-separated table in UTF-8 ({error})") from None
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(f"{path}: the column {missing[0]!r} is missing; there are: {', '.join(columns) or 'none'}")
    return columns, rows
