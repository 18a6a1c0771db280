"""What a run reports: one row a check, and their table in the form that `benchmarks/README.md` holds."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table

LOG = logging.getLogger(__name__)
WIDTH = 1000  # characters: no row of the table is wrapped where it does not go to a terminal
MIB = 2**20


@dataclass(frozen=True)
class Row:
    """Outcome of one check.

    Attributes:
        what: was run, unique in its table.
        seconds: that it takes; None where time is not the question, or where there was a fault.
        peak: bytes of GPU memory that torch had allocated at most; None without a GPU.
        note: what else was found, e.g. a difference and the tolerance.
        fault: why it failed, in one line; None where it did not.
        per: what the seconds are of, e.g. "step".
    """

    what: str
    seconds: float | None = None
    peak: int | None = None
    note: str = ""
    fault: str | None = None
    per: str = ""

    @property
    def time(self) -> str:
        """Seconds, or milliseconds below one, to three digits."""
        if self.seconds is None:
            return "–"
        number = f"{1000 * self.seconds:.3g} ms" if self.seconds < 1 else f"{self.seconds:.1f} s"
        return f"{number} per {self.per}" if self.per else number

    @property
    def memory(self) -> str:
        """Megabytes (MiB)."""
        return "–" if self.peak is None else f"{self.peak / MIB:.0f}"

    @property
    def result(self) -> str:
        """The word ok, or the reason of the fault."""
        return "ok" if self.fault is None else f"**fault**: {self.fault}"


@dataclass
class Run:
    """A table in the making.

    Attributes:
        machine: device, versions and date; unknown until a process has reported them.
    """

    machine: str = "machine unknown: no process came so far as to report it"
    rows: list[Row] = field(default_factory=list)


def report(row: Row) -> None:
    """Log a row as soon as it is known: the table comes at the end, and a run may be interrupted."""
    note = f" ({row.note})" if row.note else ""
    if row.fault is None:
        LOG.info("%s: %s%s", row.what, row.time, note)
    else:
        LOG.error("%s: fault: %s%s", row.what, row.fault, note)


def print_table(run: Run) -> None:
    """Print the rows as a Markdown table to standard output, below a line on the machine."""
    table = Table(box=box.MARKDOWN)
    for heading in ("what", "time", "peak GPU memory, MiB", "result", "note"):
        table.add_column(heading, justify="right" if heading in ("time", "peak GPU memory, MiB") else "left")
    for row in run.rows:
        table.add_row(row.what, row.time, row.memory, row.result, row.note)
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False)
    console.print(run.machine, table, sep="\n\n")


def faults(rows: Sequence[Row]) -> int:
    """Count the faulty rows."""
    return sum(row.fault is not None for row in rows)
