"""Br35H: brain slices in `no` (normal) and `yes` (tumour), without a split of its own.

By the protocol of EDC (Guo et al., IEEE TMI 2023) images of `no` with a number below 1000 are train, the others of `no`
and all of `yes` are test; the number is made of all digits of the file name.
"""

from pathlib import Path, PurePosixPath

from stages.core.image_files.reading import IMAGE_SUFFIXES
from stages.core.running.errors import UserError
from stages.split.listing import files_in, subfolders
from stages.split.records import Reading, Record

TRAIN_BELOW = 1000


def read_br35h(root: Path) -> Reading:
    """Every file of the two folders; a normal one without a number is a finding.

    Raises:
        UserError: one of the two folders is missing.
    """
    for folder in ("no", "yes"):
        if not (root / folder).is_dir():
            raise UserError(f"{root}: the folder {folder} is missing; Br35H has normal images in no, others in yes")
    normal, unexpected = files_in(root, "no")
    anomalous, unexpected_too = files_in(root, "yes")
    numbers = {path: number_of(path) for path in normal}
    records = [
        Record(path, "normal", "good", "train" if number < TRAIN_BELOW else "test")
        for path, number in numbers.items()
        if number is not None
    ]
    records += [Record(path, "unspecified", "tumor", "test") for path in anomalous]
    findings = [f"{path}: has no number, by which the protocol divides: rename or remove it"
                for path, number in numbers.items() if number is None]  # fmt: skip
    others = [folder for folder in subfolders(root) if folder not in ("no", "yes")]
    count = sum(path.suffix.lower() in IMAGE_SUFFIXES for folder in others for path in (root / folder).rglob("*"))
    notes = (f"{count} images of {', '.join(others)} are not used, as the protocol says",) if others else ()
    return Reading(tuple(records), (*findings, *unexpected, *unexpected_too), notes=notes)


def number_of(path: str) -> int | None:
    """All digits of a file name as one number; None where there are none."""
    digits = "".join(c for c in PurePosixPath(path).stem if c in "0123456789")
    return int(digits) if digits else None
