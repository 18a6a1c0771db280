"""Slices of BraTS2021 as MedIAnomaly gives them: train, test/normal, test/tumor, and masks in test/annotation.

The mask of a slice has its name with `flair` replaced by `seg`.
"""

from pathlib import Path, PurePosixPath

from stages.core.running.errors import UserError
from stages.split.listing import files_in, masks_without_image, subfolders
from stages.split.records import Reading, Record

MASKS = "test/annotation"
FOLDERS = {"train": ("train", "normal"), "test/normal": ("test", "normal"), "test/tumor": ("test", "unspecified")}


def read_brats(root: Path) -> Reading:
    """Every slice of the three folders; masks without a slice and folders that the layout does not have are findings.

    Raises:
        UserError: one of the four folders is missing.
    """
    missing = [folder for folder in (*FOLDERS, MASKS) if not (root / folder).is_dir()]
    if missing:
        raise UserError(
            f"{root}: the folder {missing[0]} is missing; BraTS slices lie in {', '.join(FOLDERS)}, {MASKS}"
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
