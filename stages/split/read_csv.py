"""A table `labels.csv`: filename,is_anomalous[,split][,mask_path][,defect_type][,kind].

Names are POSIX paths below the table's folder. `is_anomalous` is 0 or 1 (or false, true); `split` is train, validation
(or val) or test, for all rows or for none; `kind` is logical, structural or unspecified.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from stages.core.image_files.reading import IMAGE_SUFFIXES
from stages.split.label_table import read_label_table
from stages.split.records import Reading, Record

TABLE = "labels.csv"
REQUIRED = ("filename", "is_anomalous")
OPTIONAL = ("split", "mask_path", "defect_type", "kind")
TRUTH_VALUES = {"0": False, "false": False, "1": True, "true": True}
SPLITS = {"": None, "train": "train", "validation": "validation", "val": "validation", "test": "test"}
KINDS = ("", "logical", "structural", "unspecified")


def read_csv(root: Path) -> Reading:
    """Every row of the table; bad values are findings with their line.

    Raises:
        UserError: there is no table, it is not UTF-8 text, or a required column is missing.
    """
    columns, rows = read_label_table(root / TABLE, REQUIRED)
    records, findings = [], []
    for line, row in enumerate(rows, start=2):
        problems = row_problems(row)
        findings += [f"{TABLE}, row {line}: {problem}" for problem in problems]
        if not problems:
            records.append(csv_record(row))
    if len({record.split is None for record in records}) > 1:
        findings.append(f"{TABLE}: some rows have a split and others none: fill the column or remove it")
    named = {name for record in records for name in (record.path, *record.mask_paths)}
    return Reading(tuple(records), tuple(findings), notes=tuple(notes(root, columns, named)))


def row_problems(row: Mapping[str, str]) -> list[str]:
    """What is wrong with the values of one row."""
    problems = ["has more values than the table has columns"] if "" in row else []
    if not row["filename"]:
        problems.append("filename is empty")
    for column in ("filename", "mask_path"):
        name = PurePosixPath(row.get(column, ""))
        if name.is_absolute() or ".." in name.parts:
            problems.append(f"{column} {row[column]!r} leads out of the data set's folder")
        elif row.get(column) and not name.name:
            problems.append(f"{column} {row[column]!r} names no file")
    anomalous = TRUTH_VALUES.get(row["is_anomalous"].lower())
    if anomalous is None:
        problems.append(f"is_anomalous is {row['is_anomalous']!r}, not 0 or 1")
    if row.get("split", "").lower() not in SPLITS:
        problems.append(f"split is {row['split']!r}, not train, validation or test")
    kind = row.get("kind", "").lower()
    if kind not in KINDS if anomalous else kind not in ("", "normal"):
        allowed = "logical, structural or unspecified" if anomalous else "normal"
        problems.append(f"kind is {row['kind']!r}, not {allowed}")
    return problems


def csv_record(row: Mapping[str, str]) -> Record:
    """The record of a row without problems."""
    anomalous = TRUTH_VALUES[row["is_anomalous"].lower()]
    kind = (row.get("kind", "").lower() or "unspecified") if anomalous else "normal"
    defect_type = (row.get("defect_type", "") or "defect") if anomalous else "good"
    masks = (PurePosixPath(row["mask_path"]).as_posix(),) if row.get("mask_path") else ()
    path = PurePosixPath(row["filename"]).as_posix()
    return Record(path, kind, defect_type, SPLITS[row.get("split", "").lower()], masks)


def notes(root: Path, columns: list[str], named: set[str]) -> list[str]:
    """What the table leaves unsaid: unknown columns and image files that no row names."""
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES]
    unnamed = sorted(set(files) - named)
    found = [f"{TABLE}: columns ignored: {', '.join(unknown)}"] if unknown else []
    return found + ([f"{TABLE}: {len(unnamed)} image files are in no row, e.g. {unnamed[0]}"] if unnamed else [])
