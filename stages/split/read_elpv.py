"""ELPV's solar cells of one kind: labels.csv with `filename,probability,type`, as the download room writes it."""

import csv
import math
from pathlib import Path

from stages.core.running.errors import UserError
from stages.split.records import Reading, Record

TABLE = "labels.csv"
ANOMALOUS_FROM = 0.66  # the published labels are 0, 1/3, 2/3 and 1


def read_elpv(root: Path) -> Reading:
    """Defect probability 0 is normal, from 0.66 on structural; what lies between is left out and counted.

    Raises:
        UserError: the table is missing.
    """
    path = root / TABLE
    if not path.is_file():
        raise UserError(f"{path} is missing: run `dvc repro` to make it")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    records, findings, left_out = [], [], 0
    for line, row in enumerate(rows, start=2):
        probability = as_probability(row["probability"])
        if probability is None:
            findings.append(f"{TABLE}, row {line}: probability is {row['probability']!r}, not a number from 0 to 1")
        elif probability == 0:
            records.append(Record(row["filename"], "normal", "good"))
        elif probability >= ANOMALOUS_FROM:
            records.append(Record(row["filename"], "structural", f"probability_{probability:.2f}"))
        else:
            left_out += 1
    return Reading(tuple(records), tuple(findings), left_out=left_out)


def as_probability(text: str) -> float | None:
    """The number, or None when it is not one from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
