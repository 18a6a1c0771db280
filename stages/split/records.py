"""One image of a data set before it is split, and what a reader makes of a source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from stages.core.image_files.reading import IMAGE_SUFFIXES


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
        return without_suffix(self.path)

    @property
    def is_anomalous(self) -> bool:
        return self.kind != "normal"


@dataclass(frozen=True)
class Reading:
    """What a reader found.

    Attributes:
        findings: what is wrong with the source, one line each, with the file's name.
        notes: what the user should know and what is no error.
        left_out: images that the source's own labels call neither normal nor anomalous.
        defect_names: the defect that each pixel value of a mask stands for; empty where masks only say yes or no.
    """

    records: tuple[Record, ...]
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: int = 0
    defect_names: Mapping[int, str] = field(default_factory=dict)


def without_suffix(path: str) -> str:
    """A POSIX path without the suffix of an image; other dots are part of the name, as in DICOM's 1.2.840.10008."""
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else path
