"""Readers of industrial data sets: MVTec LOCO, MVTec AD, a table of labels, ELPV.

- MVTec LOCO, which the sample set follows: train/good, validation/good, test/{good,logical_anomalies,
  structural_anomalies}; masks are ground_truth/<folder>/<image's stem>/NNN.png, one a defect, and
  `defects_config.json` names their pixel values.
- MVTec AD: train/good, test/good, test/<defect>, and masks ground_truth/<defect>/<image's stem>_mask.png.
- A table `labels.csv`: filename,is_anomalous[,split][,mask_path][,defect_type][,kind]. Names are POSIX paths below the
  table's folder. `is_anomalous` is 0 or 1 (or false, true); `split` is train, validation (or val) or test, for all rows
  or for none; `kind` is logical, structural or unspecified.
- ELPV's solar cells of one kind: labels.csv with `filename,probability,type`, as the download stage writes it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from stages.split.readers.records import (
    Reading,
    Record,
    files_in,
    image_files,
    masks_without_image,
    read_label_table,
    subfolders,
    unused_notes,
    without_suffix,
)

KIND_OF_LOCO_FOLDER = {"good": "normal", "logical_anomalies": "logical", "structural_anomalies": "structural"}
FOLDERS = {"train": ("good",), "validation": ("good",), "test": tuple(KIND_OF_LOCO_FOLDER)}
MVTEC_FOLDERS = ("train", "test", "ground_truth")
DEFECTS = "defects_config.json"
TABLE = "labels.csv"
REQUIRED = ("filename", "is_anomalous")
ELPV_COLUMNS = ("filename", "probability")
OPTIONAL = ("split", "mask_path", "defect_type", "kind")
TRUTH_VALUES = {"0": False, "false": False, "1": True, "true": True}
SPLITS = {"": None, "train": "train", "validation": "validation", "val": "validation", "test": "test"}
KINDS = ("", "logical", "structural", "unspecified")
ANOMALOUS_FROM = 0.66  # the published labels are 0, 1/3, 2/3 and 1


def read_loco(root: Path) -> Reading:
    """Read every image of the three splits; folders that the layout does not have are findings."""
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
    return Record(path, KIND_OF_LOCO_FOLDER[folder], folder, split, tuple(masks))


def read_defects(root: Path) -> tuple[dict[int, str], list[str]]:
    """Read the defect that each pixel value stands for, and findings; empty when there is no `defects_config.json`."""
    path = root / DEFECTS
    if not path.is_file():
        return {}, []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {int(entry["pixel_value"]): str(entry["defect_name"]) for entry in entries}, []
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, OSError) as error:
        return {}, [f"{DEFECTS}: is not a list of objects with pixel_value and defect_name ({error!r})"]


def read_mvtec(root: Path) -> Reading:
    """Read every image of train and test; all its defects count as structural."""
    records, findings = [], []
    for split in ("train", "test"):
        for folder in subfolders(root / split):
            if split == "train" and folder != "good":
                findings.append(f"train/{folder}: only train/good belongs to train: move or remove it")
                continue
            if folder != "good" and folder.casefold() == "good":
                findings.append(f"{split}/{folder}: would be a kind of defect: call it good, or rename it")
                continue
            images, unexpected = files_in(root, f"{split}/{folder}")
            findings += unexpected
            records += [mvtec_record(root, path, split=split, folder=folder) for path in images]
    used = {mask for record in records for mask in record.mask_paths}
    findings += masks_without_image(root, "ground_truth", used)
    notes = unused_notes(root, MVTEC_FOLDERS, named=MVTEC_FOLDERS)
    return Reading(tuple(records), tuple(findings), notes=notes)


def mvtec_record(root: Path, path: str, *, split: str, folder: str) -> Record:
    mask = f"ground_truth/{folder}/{PurePosixPath(without_suffix(path)).name}_mask.png"
    masks = (mask,) if split == "test" and (root / mask).is_file() else ()
    return Record(path, "normal" if folder == "good" else "structural", folder, split, masks)


def read_csv(root: Path) -> Reading:
    """Read every row of the table; bad values are findings with their line.

    Raises:
        UserError: see `read_label_table`.
    """
    columns, rows = read_label_table(root / TABLE, REQUIRED)
    records, findings = [], []
    for row in rows:
        problems = [row.problem] if row.problem else row_problems(row.values)
        findings += [f"{TABLE}, line {row.line}: {problem}" for problem in problems]
        if not problems:
            records.append(csv_record(row.values))
    if len({record.split is None for record in records}) > 1:
        findings.append(f"{TABLE}: some rows have a split and others none: fill the column or remove it")
    named = {name for record in records for name in (record.path, *record.mask_paths)}
    return Reading(tuple(records), tuple(findings), notes=tuple(csv_notes(root, columns, named)))


def row_problems(row: Mapping[str, str]) -> list[str]:
    """List what is wrong with the values of one row."""
    problems = path_problems(row, ("filename", "mask_path"))
    anomalous = TRUTH_VALUES.get(row["is_anomalous"].lower())
    if anomalous is None:
        problems.append(f"is_anomalous is {row['is_anomalous']!r}, not 0 or 1")
    if row.get("split", "").lower() not in SPLITS:
        problems.append(f"split is {row['split']!r}, not train, validation or test")
    kind = row.get("kind", "").lower()
    if kind not in KINDS if anomalous else kind not in ("", "normal"):
        allowed = "logical, structural or unspecified" if anomalous else "normal"
        problems.append(f"kind is {row['kind']!r}, not {allowed}")
    if anomalous and row.get("defect_type", "").lower() == "good":
        problems.append("defect_type is 'good', and is_anomalous says that it is a defect: correct one of them")
    return problems


def path_problems(row: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """List what is wrong with the paths of one row; the first column must have one."""
    problems = [] if row[columns[0]] else [f"{columns[0]} is empty"]
    for column in columns:
        name = PurePosixPath(row.get(column, ""))
        if name.is_absolute() or ".." in name.parts:
            problems.append(f"{column} {row[column]!r} leads out of the data set's folder")
        elif row.get(column) and not name.name:
            problems.append(f"{column} {row[column]!r} names no file")
    return problems


def csv_record(row: Mapping[str, str]) -> Record:
    """Make the record of a row without problems."""
    anomalous = TRUTH_VALUES[row["is_anomalous"].lower()]
    kind = (row.get("kind", "").lower() or "unspecified") if anomalous else "normal"
    defect_type = (row.get("defect_type", "") or "defect") if anomalous else "good"
    masks = (PurePosixPath(row["mask_path"]).as_posix(),) if row.get("mask_path") else ()
    path = PurePosixPath(row["filename"]).as_posix()
    return Record(path, kind, defect_type, SPLITS[row.get("split", "").lower()], masks)


def csv_notes(root: Path, columns: list[str], named: set[str]) -> list[str]:
    """Note unknown columns and image files that no row names."""
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    unnamed = sorted(set(image_files(root)) - named)
    found = [f"{TABLE}: columns ignored: {', '.join(unknown)}"] if unknown else []
    return found + ([f"{TABLE}: {len(unnamed)} image files are in no row, e.g. {unnamed[0]}"] if unnamed else [])


def read_elpv(root: Path) -> Reading:
    """Read the table: defect probability 0 is normal, from 0.66 on structural; rows between are excluded and counted.

    Raises:
        UserError: see `read_label_table`.
    """
    _, rows = read_label_table(root / TABLE, ELPV_COLUMNS)
    records, findings, excluded = [], [], 0
    for line, row, problem in ((row.line, row.values, row.problem) for row in rows):
        probability = as_probability(row["probability"])
        problems = [problem] if problem else path_problems(row, ["filename"])
        if probability is None and not problem:
            problems.append(f"probability is {row['probability']!r}, not a number from 0 to 1")
        findings += [f"{TABLE}, line {line}: {text}" for text in problems]
        if problems or probability is None:
            continue
        if probability == 0:
            records.append(Record(row["filename"], "normal", "good"))
        elif probability >= ANOMALOUS_FROM:
            records.append(Record(row["filename"], "structural", f"probability_{probability:.2f}"))
        else:
            excluded += 1
    return Reading(tuple(records), tuple(findings), excluded=excluded)


def as_probability(text: str) -> float | None:
    """Convert a text to a number from 0 to 1, None when it is not one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
