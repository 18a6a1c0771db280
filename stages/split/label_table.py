"""Read a table of labels that a data set brings as a file of comma-separated values."""

import csv
from collections.abc import Sequence
from pathlib import Path

from stages.core.running.errors import UserError


def read_label_table(path: Path, required: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """The column names and the rows, blanks around values dropped; a missing value is "", surplus ones stand below "".

    Raises:
        UserError: the file is missing, not UTF-8 text, or lacks a required column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restkey="", restval="")
            rows = [{(name or "").strip(): str(value).strip() for name, value in row.items()} for row in table]
            columns = [name.strip() for name in table.fieldnames or ()]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the data set's labels stand in a table of that name") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a comma-separated table in UTF-8 ({error})") from None
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(f"{path}: the column {missing[0]!r} is missing; there are: {', '.join(columns) or 'none'}")
    return columns, rows
