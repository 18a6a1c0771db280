"""APTOS2019's retinal photographs: `train.csv` with `id_code,diagnosis`, images train_images/<id_code>.png.

Diagnosis 0 is normal, the grades 1 to 4 are anomalous. The images of the competition's own test have no labels and are
not used. By the protocol of ReContrast (Guo et al., NeurIPS 2023) the normal images in the table's order are shuffled
by Python's `random` with seed 1, the first 1000 are train, and the rest and all anomalous ones are test.
"""

import random
from collections.abc import Mapping
from pathlib import Path

from stages.core.running.errors import UserError
from stages.split.label_table import read_label_table
from stages.split.listing import files_in
from stages.split.records import Reading, Record

TABLE, IMAGES = "train.csv", "train_images"
COLUMNS = ("id_code", "diagnosis")
GRADES = ("0", "1", "2", "3", "4")
TRAIN_IMAGES, PROTOCOL_SEED = 1000, 1  # part of the protocol: neither the split's ratios nor `seed` change them


def read_aptos2019(root: Path) -> Reading:
    """Every row of the table; unknown grades and bad names are findings with their line.

    Raises:
        UserError: the table or the folder of images is missing, or the table lacks a column.
    """
    _, rows = read_label_table(root / TABLE, COLUMNS)
    if not (root / IMAGES).is_dir():
        raise UserError(f"{root / IMAGES} is missing: {TABLE} names images in a folder of that name")
    problems = {line: row_problem(row) for line, row in enumerate(rows, start=2)}
    findings = [f"{TABLE}, row {line}: {problem}" for line, problem in problems.items() if problem]
    sound = [row for row, problem in zip(rows, problems.values(), strict=True) if not problem]
    normal = [row["id_code"] for row in sound if row["diagnosis"] == "0"]
    if len(normal) <= TRAIN_IMAGES:
        findings.append(
            f"{TABLE}: names {len(normal)} normal images, the protocol takes {TRAIN_IMAGES} to train and needs more "
            "for test: take the whole data set, or describe yours as a `csv` source"
        )
    random.Random(PROTOCOL_SEED).shuffle(normal)
    to_train = set(normal[:TRAIN_IMAGES])
    records = [aptos_record(row, to_train) for row in sound]
    files, unexpected = files_in(root, IMAGES)
    unnamed = sorted(set(files) - {record.path for record in records})
    notes = (f"{TABLE}: {len(unnamed)} files of {IMAGES} are in no row, e.g. {unnamed[0]}",) if unnamed else ()
    return Reading(tuple(records), (*findings, *unexpected), notes=notes)


def row_problem(row: Mapping[str, str]) -> str | None:
    """What is wrong with the values of one row, None where nothing is."""
    name = row["id_code"]
    if not name or "/" in name:
        return f"id_code is {name!r}, not the name of a file in {IMAGES} without its suffix"
    if row["diagnosis"] not in GRADES:
        return f"diagnosis is {row['diagnosis']!r}, not one of {', '.join(GRADES)}"
    return None


def aptos_record(row: Mapping[str, str], to_train: set[str]) -> Record:
    name, grade = row["id_code"], row["diagnosis"]
    path = f"{IMAGES}/{name}.png"
    if grade != "0":
        return Record(path, "unspecified", f"grade_{grade}", "test")
    return Record(path, "normal", "good", "train" if name in to_train else "test")
