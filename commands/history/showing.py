"""Answer since when and in which lots pictures were rejected: `oddpart history --product pin_tray --since 7d`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from commands.history.asking import Wanted, check_known, rows
from commands.history.summary import Count, check_by, keys_of_tags, summarise
from commands.history.verb import Form
from commands.verdicts.addresses import url_of
from commands.verdicts.files import check_no_folder, is_read_only, path_of
from commands.verdicts.schema import UNREADABLE
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import MOST_DAYS, Verdict
from stages.core.run.console import harmless_cell, printable
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

SHOWN = 20  # verdicts below the table
MOST_ROWS = 1_000_000_000_000  # more than any store has, and a number that databases can count to
COLUMNS = ("id", *(one.name for one in fields(Verdict)))  # of CSV
NUMBERS = ("judged", "rejected", "rejected_rate", "unsure", "first_rejected", "last_rejected")
LISTED = (
    "time",
    "product",
    "picture",
    "score",
    "threshold",
    "verdict",
    "p_value",
    "unsure",
    "bundle",
    "station",
    "tags",
)


@dataclass(frozen=True)
class Layout:
    """What is written.

    Attributes:
        by: what the summary counts by.
        form: see `Form`.
        summary_only, list_only: leave the other one out; CSV has the list without either.
        limit: verdicts that are listed; all where None, but SHOWN in a table.
    """

    by: Sequence[str]
    form: Form = Form.TABLE
    summary_only: bool = False
    list_only: bool = False
    limit: int | None = None


def show_history(
    store: str, wanted: Wanted, layout: Layout, *, keep_days: float | None = None, keep_rows: int | None = None
) -> str:
    """Print the counts and the verdicts that are asked for, and return the closing counts.

    Args:
        store: file or URL.
        wanted: which verdicts.
        layout: what is written.
        keep_days: older verdicts are deleted before.
        keep_rows: the newest of them, so many stay.

    Raises:
        UserError: there is no store, it does not know a name, or a number or time cannot be meant.
    """
    check(store, wanted, layout, {"--keep-days": keep_days, "--keep-rows": keep_rows})
    prunes = keep_days is not None or keep_rows is not None
    with VerdictStore(store, read_only=not prunes and is_read_only(url_of(store))) as opened:
        gone = 0
        if prunes:
            gone = opened.prune(keep_days=keep_days, keep_rows=keep_rows)
        with opened.reading() as connection:
            check_known(connection, wanted, keys_of_tags(layout.by), opened.name)
            counts = summarise(connection, wanted, layout.by)
            most = SHOWN if layout.form == Form.TABLE and layout.limit is None else layout.limit
            WRITERS[layout.form](layout, counts, rows(connection, wanted, limit=most))
            refused = connection.execute(select(func.count()).select_from(UNREADABLE)).scalar_one()
    return closing(counts, refused if wanted == Wanted() else None, gone)


def check(store: str, wanted: Wanted, layout: Layout, numbers: Mapping[str, float | None]) -> None:
    """Pass when there is a store and the options can be meant.

    Raises:
        UserError: see `show_history`.
    """
    url = url_of(store)
    if url.drivername == "sqlite":
        check_no_folder(url)
        path = path_of(url)
        if not path.is_file():
            raise UserError(f"{path}: there is no such file: name a verdict store with --store")
    for name, value in (*numbers.items(), ("--limit", layout.limit)):
        most = MOST_DAYS if name == "--keep-days" else MOST_ROWS
        if value is not None and not 0 <= value <= most:  # not so of NaN, too
            raise UserError(f"{name} {value}: name a number from 0 to {most}")
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise UserError(f"--since {wanted.since} is not before --until {wanted.until}: nothing is between them")
    if layout.summary_only and layout.list_only:
        raise UserError("--summary and --list: name one of them, or neither for both")
    check_by(layout.by)


def closing(counts: Mapping[tuple[str, ...], Count], refused: int | None, gone: int) -> str:
    """Return the closing counts."""
    judged, rejected, unsure = (
        sum(getattr(one, name) for one in counts.values()) for name in NUMBERS[:2] + ("unsure",)
    )
    words = (
        f"{counted(judged, 'verdict')}, {rejected} rejected ({100 * rejected / max(judged, 1):.1f} %), {unsure} unsure"
    )
    words += "" if refused is None else f", {refused} unreadable"
    return words + (f"; {counted(gone, 'row')} deleted" if gone else "")


def write_tables(layout: Layout, counts: Mapping[tuple[str, ...], Count], found: Iterable[dict[str, Any]]) -> None:
    """Write tables for a terminal."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 240)
    if not layout.list_only:
        table = Table(box=SIMPLE_HEAD)
        for name in (*layout.by, "judged", "rejected", "rate", "unsure", "first rejected", "last rejected"):
            table.add_column(name, justify="right" if name in ("judged", "rejected", "rate", "unsure") else "left")
        for values, count in counts.items():
            rate = f"{100 * count.rate:.1f} %"
            numbers = (str(count.judged), str(count.rejected), rate, str(count.unsure))
            table.add_row(*map(printable, values), *numbers, short(count.first), short(count.last))
        console.print(table)
    if not layout.summary_only:
        table = Table(*LISTED, box=SIMPLE_HEAD)
        for row in found:
            table.add_row(*(printable(str(value)) for value in of_table(row)))
        console.print(table)


def of_table(row: Mapping[str, Any]) -> list[str]:
    """Return a verdict's cells in the order of LISTED."""
    tags = " ".join(f"{key}={value}" for key, value in row["tags"].items())
    p_value = "" if row["p_value"] is None else f"{row['p_value']:.3g}"
    return [
        short(row["time"]), row["product"], row["picture"], f"{row['score']:.4g}", f"{row['threshold']:.4g}",
        "rejected" if row["is_anomalous"] else "good", p_value, "unsure" if row["unsure"] else "",
        row["bundle_sha256"][:12], row["station"], tags,
    ]  # fmt: skip


def short(time: str | None) -> str:
    """Return a time without milliseconds."""
    return "" if time is None else f"{time[:10]} {time[11:19]}"


def write_csv(layout: Layout, counts: Mapping[tuple[str, ...], Count], found: Iterable[dict[str, Any]]) -> None:
    """Write one table, the list unless the summary is asked for."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if layout.summary_only:
        writer.writerow([*layout.by, *NUMBERS])
        for values, count in counts.items():
            writer.writerow([*map(cell, values), *count.cells().values()])
        return
    writer.writerow(COLUMNS)
    for row in found:
        writer.writerow([cell(row[name]) for name in COLUMNS])


def cell(value: Any) -> Any:
    """Return a value for a field of CSV, on one line."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else None
    return harmless_cell(printable(value)) if isinstance(value, str) else value


def write_json(layout: Layout, counts: Mapping[tuple[str, ...], Count], found: Iterable[dict[str, Any]]) -> None:
    """Write one object with `summary` and `verdicts`; verdicts one a line, as they come."""
    out = sys.stdout
    out.write("{")
    if not layout.list_only:
        table = [dict(zip(layout.by, values, strict=True)) | count.cells() for values, count in counts.items()]
        out.write(f'"summary": {json.dumps(table, indent=1)}')
    if not layout.summary_only:
        out.write(("" if layout.list_only else ",\n") + '"verdicts": [')
        for number, row in enumerate(found):
            out.write(
                ("\n" if number == 0 else ",\n") + json.dumps(row | {"explanations": json.loads(row["explanations"])})
            )
        out.write("]")
    out.write("}\n")


WRITERS = {Form.TABLE: write_tables, Form.CSV: write_csv, Form.JSON: write_json}
