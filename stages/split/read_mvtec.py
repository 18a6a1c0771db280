"""MVTec AD's layout: train/good, test/good, test/<defect>, and masks ground_truth/<defect>/<image's stem>_mask.png."""

from pathlib import Path, PurePosixPath

from stages.split.listing import files_in, masks_without_image, subfolders
from stages.split.records import Reading, Record, without_suffix


def read_mvtec(root: Path) -> Reading:
    """Every image of train and test; all its defects count as structural."""
    records, findings = [], []
    for split in ("train", "test"):
        for folder in subfolders(root / split):
            if split == "train" and folder != "good":
                findings.append(f"train/{folder}: only train/good belongs to train: move or remove it")
                continue
            images, unexpected = files_in(root, f"{split}/{folder}")
            findings += unexpected
            records += [mvtec_record(root, path, split=split, folder=folder) for path in images]
    used = {mask for record in records for mask in record.mask_paths}
    findings += masks_without_image(root, "ground_truth", used)
    return Reading(tuple(records), tuple(findings))


def mvtec_record(root: Path, path: str, *, split: str, folder: str) -> Record:
    mask = f"ground_truth/{folder}/{PurePosixPath(without_suffix(path)).name}_mask.png"
    masks = (mask,) if split == "test" and (root / mask).is_file() else ()
    return Record(path, "normal" if folder == "good" else "structural", folder, split, masks)
