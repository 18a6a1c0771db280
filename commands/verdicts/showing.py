"""Show what a verdict store holds, and delete what is too old: `oddpart verdicts verdicts.sqlite --keep-days 400`."""

from pathlib import Path

from rich.table import Table

from commands.verdicts.store import STORE, VerdictStore
from stages.core.run.console import CONSOLE, printable
from stages.core.run.errors import UserError

COLUMNS = ("product", "method", "bundle", "station", "verdicts", "anomalous", "unsure", "first", "last")
COUNTS = """SELECT product, method, substr(bundle_sha256, 1, 12), station, count(*), sum(is_anomalous), sum(unsure),
min(time), max(time) FROM verdicts GROUP BY product, method, bundle_sha256, station ORDER BY max(time) DESC"""


def show_verdicts(path: Path, *, keep_days: float | None, keep_rows: int | None) -> str:
    """Print the counts by bundle and station, the latest first, and return the closing counts.

    Args:
        path: of the store.
        keep_days: older verdicts are deleted.
        keep_rows: the newest of them, so many stay.

    Raises:
        UserError: there is no store, it is a folder, or a number is negative.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder: name the verdict store in it, mostly {STORE}")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: name a verdict store")
    for name, value in (("--keep-days", keep_days), ("--keep-rows", keep_rows)):
        if value is not None and value < 0:
            raise UserError(f"{name} {value}: name a number from 0 on")
    with VerdictStore(path) as store:
        gone = store.prune(keep_days=keep_days, keep_rows=keep_rows)
        table = Table(*COLUMNS)
        for row in store.query(COUNTS):
            table.add_row(*(printable("" if value is None else str(value)) for value in row))
        CONSOLE.print(table)
        (kept,), (refused,) = (store.query(f"SELECT count(*) FROM {name}")[0] for name in ("verdicts", "unreadable"))
    return f"{kept} verdicts, {refused} unreadable" + (f"; {gone} rows deleted" if gone else "")
