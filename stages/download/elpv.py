"""ELPV: of its solar cells, those of one kind."""

import csv
import io
from collections.abc import Sequence
from functools import partial

from stages.core.running.errors import UserError
from stages.download.source_file import SourceFile

LABELS = "labels.csv"
FIELDS = 3  # path, defect probability, kind; divided by blanks, no header


def only_kind(files: Sequence[SourceFile], kind: str) -> list[SourceFile]:
    """The images of one kind, and in place of ELPV's table one with their rows only: `filename,probability,type`.

    Raises:
        UserError: the table is missing or not ELPV's, or an image that it names is missing.
    """
    by_name = {file.name: file for file in files}
    if LABELS not in by_name:
        raise UserError(f"ELPV's {LABELS} is missing")
    with by_name[LABELS].open() as content:
        rows = [line.split() for line in content.read().decode("utf-8").splitlines() if line.strip()]
    wrong = [f"line {i}: {' '.join(row)}" for i, row in enumerate(rows, start=1) if len(row) != FIELDS]
    missing = [row[0] for row in rows if len(row) == FIELDS and row[0] not in by_name]
    if wrong or missing:
        raise UserError("ELPV's files are not whole:\n  - " + "\n  - ".join([*wrong, *missing]))
    chosen = sorted(row for row in rows if row[2] == kind)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("filename", "probability", "type"), *chosen])
    table = text.getvalue().encode()
    return [SourceFile(LABELS, len(table), partial(io.BytesIO, table)), *(by_name[row[0]] for row in chosen)]
