"""Layouts with a folder for each class: OCT2017 (Kermany) and the tiles of Camelyon16.

Of OCT2017 (Kermany et al., Cell 2018) only train/NORMAL is learned from; test has NORMAL, CNV, DME and DRUSEN. The
anomalous folders of train and a folder `val`, which some copies have, are not used: validation is taken from train.
Camelyon16 has train/good and test/{good,Ungood} (MedIAnomaly), with valid/{good,Ungood} in some copies (BMAD).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.core.running.errors import UserError
from stages.split.listing import files_in, subfolders
from stages.split.records import Reading, Record

OCT_ANOMALIES = ("CNV", "DME", "DRUSEN")


def read_oct2017(root: Path) -> Reading:
    """Every image of train/NORMAL and test; see the module.

    Raises:
        UserError: a folder of the protocol is missing.
    """
    folders = {"train": ("NORMAL",), "test": ("NORMAL", *OCT_ANOMALIES)}
    unused = {"train": OCT_ANOMALIES, "val": ("NORMAL", *OCT_ANOMALIES)}
    return read_class_folders(root, folders, normal="NORMAL", unused=unused)


def read_camelyon16(root: Path) -> Reading:
    """Every tile; `valid`, where there is one, is the validation split.

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
    """Every image of the folders <split>/<class>; classes that nobody named are findings.

    Args:
        folders: the classes of each split, all needed; `valid` is the validation split.
        normal: the class that is normal; the others are anomalous and their defect type.
        unused: known classes of a split that the protocol leaves out; a note counts their images.

    Raises:
        UserError: a folder is missing.
    """
    missing = [
        f"{split}/{name}" for split, names in folders.items() for name in names if not (root / split / name).is_dir()
    ]
    if missing:
        raise UserError(f"{root}: the folder {missing[0]} is missing: put its images there or correct `path`")
    records, findings, left = [], [], {}
    for split in sorted({*folders, *unused}):
        for name in subfolders(root / split):
            folder = f"{split}/{name}"
            images, unexpected = files_in(root, folder)
            if name in folders.get(split, ()):
                findings += unexpected
                records += [class_record(path, name, split=split, normal=normal) for path in images]
            elif name in unused.get(split, ()):
                left[folder] = len(images)
            else:
                known = ", ".join(folders.get(split, unused.get(split, ())))
                findings.append(f"{folder}: is not one of {known}: move or remove it")
    notes = [f"{sum(left.values())} images of {', '.join(left)} are not used, as the protocol says"] if left else []
    return Reading(tuple(records), tuple(findings), notes=tuple(notes))


def class_record(path: str, name: str, *, split: str, normal: str) -> Record:
    kind, defect_type = ("normal", "good") if name == normal else ("unspecified", name)
    return Record(path, kind, defect_type, "validation" if split == "valid" else split)
