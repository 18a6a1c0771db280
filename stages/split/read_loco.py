"""MVTec LOCO's layout, which the sample set has too.

train/good, validation/good, test/{good,logical_anomalies,structural_anomalies}; masks are
ground_truth/<folder>/<image's stem>/NNN.png, one a defect, and `defects_config.json` names their pixel values.
"""

import json
from pathlib import Path, PurePosixPath

from stages.split.listing import files_in, masks_without_image, subfolders
from stages.split.records import Reading, Record, without_suffix

KIND_OF_FOLDER = {"good": "normal", "logical_anomalies": "logical", "structural_anomalies": "structural"}
FOLDERS = {"train": ("good",), "validation": ("good",), "test": tuple(KIND_OF_FOLDER)}
DEFECTS = "defects_config.json"


def read_loco(root: Path) -> Reading:
    """Every image of the three splits; folders that the layout does not have are findings."""
    records, findings = [], []
    for split, known in FOLDERS.items():
        for folder in subfolders(root / split):
            if folder not in known:
                findings.append(f"{split}/{folder}: is not one of {', '.join(known)}: move or remove it")
                continue
            images, unexpected = files_in(root, f"{split}/{folder}")
            findings += unexpected
            records += [loco_record(root, path, split=split, folder=folder) for path in images]
    used = {mask for record in records for mask in record.mask_paths}
    defect_names, unreadable = read_defects(root)
    findings += [*masks_without_image(root, "ground_truth", used), *unreadable]
    return Reading(tuple(records), tuple(findings), defect_names=defect_names)


def loco_record(root: Path, path: str, *, split: str, folder: str) -> Record:
    masks: list[str] = []
    if split == "test" and folder != "good":
        masks, _ = files_in(root, f"ground_truth/{folder}/{PurePosixPath(without_suffix(path)).name}")
    return Record(path, KIND_OF_FOLDER[folder], folder, split, tuple(masks))


def read_defects(root: Path) -> tuple[dict[int, str], list[str]]:
    """The defect that each pixel value stands for, and findings; empty when there is no `defects_config.json`."""
    path = root / DEFECTS
    if not path.is_file():
        return {}, []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {int(entry["pixel_value"]): str(entry["defect_name"]) for entry in entries}, []
    except (ValueError, KeyError, TypeError) as error:
        return {}, [f"{DEFECTS}: is not a list of objects with pixel_value and defect_name ({error!r})"]
