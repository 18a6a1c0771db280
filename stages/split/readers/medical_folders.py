"""Readers of medical data sets with a folder for each class: OCT2017, Camelyon16, Br35H, BraTS2021.

- OCT2017 (Kermany et al., Cell 2018): only train/NORMAL is learned from; test has NORMAL, CNV, DME and DRUSEN. The
  anomalous folders of train and a folder `val`, which some copies have, are not used: validation is taken from train.
- Tiles of Camelyon16: train/good and test/{good,Ungood} (MedIAnomaly), with valid/{good,Ungood} in some copies (BMAD).
- Br35H: brain slices in `no` (normal) and `yes` (tumour), without a split of its own. By the protocol of EDC (Guo et
  al., IEEE TMI 2023) images of `no` with a number below 1000 are train, the others of `no` and all of `yes` are test;
  the number is made of all digits of the file name.
- Slices of BraTS2021 as MedIAnomaly publishes them: train, test/normal, test/tumor, and masks in test/annotation, with
  the slice's name in which `seg` replaces `flair`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from stages.core.run.errors import UserError
from stages.core.runtime.reading import IMAGE_SUFFIXES
from stages.split.readers.records import Reading, Record, files_in, masks_without_image, subfolders

OCT_ANOMALIES = ("CNV", "DME", "DRUSEN")
TRAIN_BELOW = 1000
MASKS = "test/annotation"
FOLDERS = {"train": ("train", "normal"), "test/normal": ("test", "normal"), "test/tumor": ("test", "unspecified")}


def read_oct2017(root: Path) -> Reading:
    """Read every image of train/NORMAL and test; see the module.

    Raises:
        UserError: a folder of the protocol is missing.
    """
    folders = {"train": ("NORMAL",), "test": ("NORMAL", *OCT_ANOMALIES)}
    unused = {"train": OCT_ANOMALIES, "val": ("NORMAL", *OCT_ANOMALIES)}
    return read_class_folders(root, folders, normal="NORMAL", unused=unused)


def read_camelyon16(root: Path) -> Reading:
    """Read every tile; `valid`, where there is one, is the validation split.

    Raises:
        UserError: a folder of the protocol is missing.
    """
    folders = {"train": ("good",), "test": ("good", "Ungood")}
    if (root / "valid").is_dir():
        folders["valid"] = ("good", "Ungood")
    return read_class_folders(root, folders, normal="good", unused={})


def read_class_folders(
    root: Path, folders: Mapping[str, Sequence[str]], *, normal: str, unused: Mapping[str, Sequence[str]]
) -> Reading:
    """Read every image of the folders <split>/<class>; unknown classes are findings.

    Args:
        root: of the data set.
        folders: the classes of each split, all needed; `valid` is the validation split.
        normal: the class that is normal; the others are anomalous and their defect type.
        unused: known classes of a split that the protocol excludes; a note counts their images.

    Raises:
        UserError: a folder is missing.
    """
    missing = [
        f"{split}/{name}" for split, names in folders.items() for name in names if not (root / split / name).is_dir()
    ]
    if missing:
        raise UserError(f"{root}: the folder {missing[0]} is missing: put its images there or correct `path`")
    records, findings, unread = [], [], {}
    for split in sorted({*folders, *unused}):
        for name in subfolders(root / split):
            folder = f"{split}/{name}"
            images, unexpected = files_in(root, folder)
            if name in folders.get(split, ()):
                findings += unexpected
                records += [class_record(path, name, split=split, normal=normal) for path in images]
            elif name in unused.get(split, ()):
                unread[folder] = len(images)
            else:
                known = ", ".join(folders.get(split, unused.get(split, ())))
                findings.append(f"{folder}: is not one of {known}: move or remove it")
    count, names = sum(unread.values()), ", ".join(unread)
    notes = [f"{count} images of {names} are not used by the protocol"] if unread else []
    return Reading(tuple(records), tuple(findings), notes=tuple(notes))


def class_record(path: str, name: str, *, split: str, normal: str) -> Record:
    kind, defect_type = ("normal", "good") if name == normal else ("unspecified", name)
    return Record(path, kind, defect_type, "validation" if split == "valid" else split)


def read_br35h(root: Path) -> Reading:
    """Read every file of the two folders; a normal one without a number is a finding.

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
    notes = (f"{count} images of {', '.join(others)} are not used by the protocol",) if others else ()
    return Reading(tuple(records), (*findings, *unexpected, *unexpected_too), notes=notes)


def number_of(path: str) -> int | None:
    """Read all digits of a file name as one number; None where there are none."""
    digits = "".join(c for c in PurePosixPath(path).stem if c in "0123456789")
    return int(digits) if digits else None


def read_brats(root: Path) -> Reading:
    """Read every slice of the three folders; masks without a slice and unknown folders are findings.

    Raises:
        UserError: one of the four folders is missing.
    """
    missing = [folder for folder in (*FOLDERS, MASKS) if not (root / folder).is_dir()]
    if missing:
        raise UserError(
            f"{root}: the folder {missing[0]} is missing; BraTS slices are in {', '.join(FOLDERS)}, {MASKS}"
        )
    records, findings = [], []
    for folder, (split, kind) in FOLDERS.items():
        images, unexpected = files_in(root, folder)
        findings += unexpected
        records += [brats_record(root, path, split=split, kind=kind) for path in images]
    known = {PurePosixPath(folder).name for folder in (*FOLDERS, MASKS)}
    strange = [folder for folder in subfolders(root / "test") if folder not in known]
    findings += [f"test/{folder}: is not one of normal, tumor, annotation: move or remove it" for folder in strange]
    used = {mask for record in records for mask in record.mask_paths}
    return Reading(tuple(records), (*findings, *masks_without_image(root, MASKS, used)))


def brats_record(root: Path, path: str, *, split: str, kind: str) -> Record:
    if kind == "normal":
        return Record(path, kind, "good", split)
    mask = f"{MASKS}/{PurePosixPath(path).name.replace('flair', 'seg')}"
    return Record(path, kind, "tumor", split, (mask,) if (root / mask).is_file() else ())
