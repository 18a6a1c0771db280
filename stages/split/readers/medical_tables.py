"""Readers of medical data sets with a table of labels: APTOS2019, ISIC2018, MedIAnomaly.

- APTOS2019's retinal photographs: `train.csv` with `id_code,diagnosis`, images train_images/<id_code>.png. Diagnosis 0
  is normal, the grades 1 to 4 are anomalous. The images of the competition's own test have no labels and are not used.
  By the protocol of ReContrast (Guo et al., NeurIPS 2023) the normal images in the table's order are shuffled by
  Python's `random` with seed 1, the first 1000 are train, and the rest and all anomalous ones are test.
- ISIC2018, task 3: dermoscopic images with one of seven diagnoses; NV (melanocytic nevus) is normal.
  ISIC2018_Task3_<part>_Input/<image>.jpg and
  ISIC2018_Task3_<part>_GroundTruth/ISIC2018_Task3_<part>_GroundTruth.csv with `image,MEL,NV,BCC,AKIEC,BKL,DF,VASC`, one
  of them 1 and the others 0. The NV images of part Training are train, its others are not used. Test is part Test
  (MedIAnomaly) or Validation (ReContrast, EDC).
- MedIAnomaly's layout for RSNA, VinDr-CXR, BrainTumor and LAG: a folder `images` and `data.json`.
  `{"train": {"0": [...]}, "test": {"0": [...], "1": [...]}}` names files of `images`; 0 is normal, 1 anomalous. Other
  lists of `train` (its `unlabeled` images of both kinds) are for methods that learn from anomalies, and are not used.
  Cai et al., "MedIAnomaly: A comparative study of anomaly detection in medical images", 2024.
"""

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.run.errors import UserError
from stages.split.readers.records import Reading, Record, files_in, read_label_table

APTOS_TABLE, APTOS_IMAGES = "train.csv", "train_images"
COLUMNS = ("id_code", "diagnosis")
GRADES = ("0", "1", "2", "3", "4")
TRAIN_IMAGES, PROTOCOL_SEED = 1000, 1  # part of the protocol: neither the split's ratios nor `seed` change them
DIAGNOSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
NORMAL = "NV"
TRAINING = "Training"
FILES_BESIDES = (".txt", ".csv")  # licence, attribution and metadata are among the images
MEDIANOMALY_TABLE, MEDIANOMALY_IMAGES = "data.json", "images"
LABELS = {"0": "normal", "1": "unspecified"}
REQUIRED = {"train": ("0",), "test": ("0", "1")}


def read_aptos2019(root: Path) -> Reading:
    """Read every row of the table; unknown grades and bad names are findings with their line.

    Raises:
        UserError: the table or the folder of images is missing, or the table lacks a column.
    """
    _, rows = read_label_table(root / APTOS_TABLE, COLUMNS)
    if not (root / APTOS_IMAGES).is_dir():
        raise UserError(f"{root / APTOS_IMAGES} is missing: {APTOS_TABLE} names images in a folder of that name")
    problems = {row.line: row.problem or row_problem(row.values) for row in rows}
    findings = [f"{APTOS_TABLE}, line {line}: {problem}" for line, problem in problems.items() if problem]
    sound = [row.values for row in rows if not problems[row.line]]
    normal = [row["id_code"] for row in sound if row["diagnosis"] == "0"]
    if len(normal) <= TRAIN_IMAGES:
        findings.append(
            f"{APTOS_TABLE}: names {len(normal)} normal images, the protocol takes {TRAIN_IMAGES} to train and "
            "needs more for test: take the whole data set, or describe yours as a `csv` source"
        )
    random.Random(PROTOCOL_SEED).shuffle(normal)
    to_train = set(normal[:TRAIN_IMAGES])
    records = [aptos_record(row, to_train) for row in sound]
    files, unexpected = files_in(root, APTOS_IMAGES)
    unnamed = sorted(set(files) - {record.path for record in records})
    notes = (
        (f"{APTOS_TABLE}: {len(unnamed)} files of {APTOS_IMAGES} are in no row, e.g. {unnamed[0]}",) if unnamed else ()
    )
    return Reading(tuple(records), (*findings, *unexpected), notes=notes)


def row_problem(row: Mapping[str, str]) -> str | None:
    """Return what is wrong with the values of one row, None where nothing is."""
    name = row["id_code"]
    if not name or "/" in name:
        return f"id_code is {name!r}, not the name of a file in {APTOS_IMAGES} without its suffix"
    if row["diagnosis"] not in GRADES:
        return f"diagnosis is {row['diagnosis']!r}, not one of {', '.join(GRADES)}"
    return None


def aptos_record(row: Mapping[str, str], to_train: set[str]) -> Record:
    name, grade = row["id_code"], row["diagnosis"]
    path = f"{APTOS_IMAGES}/{name}.png"
    if grade != "0":
        return Record(path, "unspecified", f"grade_{grade}", "test")
    return Record(path, "normal", "good", "train" if name in to_train else "test")


def read_isic2018(root: Path, *, test_part: str) -> Reading:
    """Read NV images of Training, and all images of the part that is tested.

    Args:
        root: of the data set.
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
    """Read all images of one part, findings, and image files that no row names.

    Raises:
        UserError: see `read_isic2018`.
    """
    folder, name = f"ISIC2018_Task3_{part}_Input", f"ISIC2018_Task3_{part}_GroundTruth"
    table = f"{name}/{name}.csv"
    _, rows = read_label_table(root / table, ("image", *DIAGNOSES))
    if not (root / folder).is_dir():
        raise UserError(f"{root / folder} is missing: {table} names images in a folder of that name")
    records, findings = [], []
    for line, row, problem in ((row.line, row.values, row.problem) for row in rows):
        diagnosis = diagnosis_of(row)
        if problem:
            findings.append(f"{table}, line {line}: {problem}")
        elif not row["image"] or "/" in row["image"]:
            findings.append(
                f"{table}, line {line}: image is {row['image']!r}, not the name of a file without its suffix"
            )
        elif diagnosis is None:
            findings.append(f"{table}, line {line}: not exactly one of {', '.join(DIAGNOSES)} is 1 and the others 0")
        else:
            kind, defect_type = ("normal", "good") if diagnosis == NORMAL else ("unspecified", diagnosis)
            records.append(Record(f"{folder}/{row['image']}.jpg", kind, defect_type, split))
    files, unexpected = files_in(root, folder)
    images = {path for path in files if not path.endswith(FILES_BESIDES)}
    return records, [*findings, *unexpected], sorted(images - {record.path for record in records})


def diagnosis_of(row: Mapping[str, str]) -> str | None:
    """Return the one diagnosis that is 1 where the others are 0 (published as 1.0 and 0.0), else None."""
    values = {name: row[name].removesuffix(".0") for name in DIAGNOSES}
    chosen = [name for name, value in values.items() if value == "1"]
    return chosen[0] if len(chosen) == 1 and sorted(values.values()) == ["0"] * 6 + ["1"] else None


def read_medianomaly(root: Path) -> Reading:
    """Read every image that the protocol names; unknown labels of test and bad names are findings.

    Raises:
        UserError: there is no table, no folder of images, or the table is not of the layout above.
    """
    table = read_table(root / MEDIANOMALY_TABLE)
    if not (root / MEDIANOMALY_IMAGES).is_dir():
        raise UserError(
            f"{root / MEDIANOMALY_IMAGES} is missing: {MEDIANOMALY_TABLE} names images in a folder of that name"
        )
    records, findings = [], []
    for split, known in REQUIRED.items():
        for label in known:
            for name in table[split][label]:
                problem = name_problem(name)
                if problem:
                    findings.append(f"{MEDIANOMALY_TABLE}, {split}, {label}: {name!r} {problem}")
                else:
                    records.append(medianomaly_record(name, split=split, label=label))
    findings += [
        f"{MEDIANOMALY_TABLE}, test: the label {label!r} is unknown, there are 0 (normal) and 1 (anomalous)"
        for label in sorted(table["test"].keys() - LABELS.keys())
    ]
    files = {path.relative_to(root).as_posix() for path in (root / MEDIANOMALY_IMAGES).rglob("*") if path.is_file()}
    unnamed = sorted(files - {record.path for record in records})
    return Reading(tuple(records), tuple(findings), notes=tuple(medianomaly_notes(table, unnamed)))


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """Read `data.json` and check that it has the lists that the protocol needs.

    Raises:
        UserError: see `read_medianomaly`.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: a medianomaly source has a table of that name") from None
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path}: is not a JSON file ({error})") from None
    for split, labels in REQUIRED.items():
        for label in labels:
            part = table.get(split) if isinstance(table, dict) else None
            if not isinstance(part, dict) or not isinstance(part.get(label), list):
                raise UserError(f'{path}: has no list of file names at "{split}", "{label}"')
    return dict(table)


def name_problem(name: Any) -> str | None:
    """Return why an entry names no image, None where it does."""
    if not isinstance(name, str) or not name:
        return "is no file name"
    path = PurePosixPath(name)
    return f"leads out of {MEDIANOMALY_IMAGES}" if path.is_absolute() or ".." in path.parts else None


def medianomaly_record(name: str, *, split: str, label: str) -> Record:
    path = (PurePosixPath(MEDIANOMALY_IMAGES) / name).as_posix()
    return Record(path, LABELS[label], "good" if label == "0" else "anomalous", split)


def medianomaly_notes(table: dict[str, dict[str, Any]], unnamed: list[str]) -> Iterable[str]:
    """Note lists and files that are not used."""
    unused = [f"train, {label}" for label in table["train"] if label not in REQUIRED["train"]]
    unused += [split for split in table if split not in REQUIRED]
    if unused:
        yield f"{MEDIANOMALY_TABLE}: not used: {'; '.join(sorted(unused))}"
    if unnamed:
        yield f"{len(unnamed)} files of {MEDIANOMALY_IMAGES} are not used, e.g. {unnamed[0]}"
