"""ISIC2018, task 3: dermoscopic images with one of seven diagnoses; NV (melanocytic nevus) is normal.

ISIC2018_Task3_<part>_Input/<image>.jpg and ISIC2018_Task3_<part>_GroundTruth/ISIC2018_Task3_<part>_GroundTruth.csv with
`image,MEL,NV,BCC,AKIEC,BKL,DF,VASC`, one of them 1 and the others 0. The NV images of part Training are train, its
others are not used. Test is part Test (MedIAnomaly) or Validation (ReContrast, EDC).
"""

from collections.abc import Mapping
from pathlib import Path

from stages.core.running.errors import UserError
from stages.split.label_table import read_label_table
from stages.split.listing import files_in
from stages.split.records import Reading, Record

DIAGNOSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
NORMAL = "NV"
TRAINING = "Training"
FILES_BESIDES = (".txt", ".csv")  # licence, attribution and metadata lie among the images


def read_isic2018(root: Path, *, test_part: str) -> Reading:
    """NV images of Training, and all images of the part that is tested.

    Args:
        test_part: "test" or "validation", the part of the challenge whose images are test.

    Raises:
        UserError: a folder or a table is missing, or a table lacks a column.
    """
    records, findings, notes = [], [], []
    for part, split in ((TRAINING, "train"), (test_part.capitalize(), "test")):
        found, problems, unnamed = read_part(root, part, split=split)
        used = [record for record in found if split == "test" or not record.is_anomalous]
        records += used
        findings += problems
        if len(used) < len(found):
            notes.append(f"{len(found) - len(used)} images of {part} other than {NORMAL} are not used")
        if unnamed:
            notes.append(f"{len(unnamed)} images of {part} are in no row, e.g. {unnamed[0]}")
    return Reading(tuple(records), tuple(findings), notes=tuple(notes))


def read_part(root: Path, part: str, *, split: str) -> tuple[list[Record], list[str], list[str]]:
    """All images of one part, findings, and image files that no row names.

    Raises:
        UserError: see `read_isic2018`.
    """
    folder, name = f"ISIC2018_Task3_{part}_Input", f"ISIC2018_Task3_{part}_GroundTruth"
    table = f"{name}/{name}.csv"
    _, rows = read_label_table(root / table, ("image", *DIAGNOSES))
    if not (root / folder).is_dir():
        raise UserError(f"{root / folder} is missing: {table} names images in a folder of that name")
    records, findings = [], []
    for line, row in enumerate(rows, start=2):
        diagnosis = diagnosis_of(row)
        if not row["image"] or "/" in row["image"]:
            findings.append(
                f"{table}, row {line}: image is {row['image']!r}, not the name of a file without its suffix"
            )
        elif diagnosis is None:
            findings.append(f"{table}, row {line}: not exactly one of {', '.join(DIAGNOSES)} is 1 and the others 0")
        else:
            kind, defect_type = ("normal", "good") if diagnosis == NORMAL else ("unspecified", diagnosis)
            records.append(Record(f"{folder}/{row['image']}.jpg", kind, defect_type, split))
    files, unexpected = files_in(root, folder)
    images = {path for path in files if not path.endswith(FILES_BESIDES)}
    return records, [*findings, *unexpected], sorted(images - {record.path for record in records})


def diagnosis_of(row: Mapping[str, str]) -> str | None:
    """The one diagnosis that is 1 where the others are 0 (published as 1.0 and 0.0), else None."""
    values = {name: row[name].removesuffix(".0") for name in DIAGNOSES}
    chosen = [name for name, value in values.items() if value == "1"]
    return chosen[0] if len(chosen) == 1 and sorted(values.values()) == ["0"] * 6 + ["1"] else None
