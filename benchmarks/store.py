"""Measure the verdict store: verdicts a second that are safe on the disk, and how soon the history answers.

    python -m benchmarks.store --verdicts 1000000
    python -m benchmarks.store --verdicts 1000000 --store postgresql://oddpart@127.0.0.1/oddpart

Writes verdicts of two products and 500 lots in batches, as `oddpart predict` (100), a watched folder with many pictures
that wait (32) and `oddpart serve` under load (16) do, and one by one, as where pictures come one by one; first with 1,
then with 3 processes at once. Every batch is on the disk before the next one. Then asks the questions of
`oddpart history` with all of them in the store, and deletes the verdicts of the first day.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.table import Table
from sqlalchemy import func, select

from commands.history.asking import Wanted, rows
from commands.history.summary import BY, summarise
from commands.verdicts.schema import VERDICTS
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Verdict, stamp
from stages.core.run.console import CONSOLE
from stages.core.run.stage import command_entry

SAMPLE = Verdict(
    "", "0a" * 32, "pin_tray", "oddpart", "c0ffee" * 6, "ab" * 32, 1.5, 1.0, 0.05, False, False,
    '{"branches": {"students": 1.5, "histogram": 0.3, "neighbours": 0.7}}', "", "line 1", "serve",
)  # fmt: skip
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = 20.0  # seconds between two verdicts
LOT = 2000  # verdicts of a lot
BATCHES = (100, 32, 16, 1)
TIMED = 10.0  # seconds that a rate is measured for
FILLED = 2000  # in a batch, where no rate is measured
ASKED = 5  # times that a question is asked; the median counts


def verdict(number: int, name: str = "") -> Verdict:
    """Return one of many verdicts: one of 21 is rejected, one of 15 unsure."""
    tags = {"lot": str(number // LOT), "camera": str(number % 2)}
    product = "pin_tray" if number % 2 else "juice_bottle"
    return replace(
        SAMPLE, picture=f"camera/{name}{number:09}.png", time=stamp(BEGIN + timedelta(seconds=EVERY * number)),
        product=product, is_anomalous=number % 21 == 0, unsure=number % 15 == 0, tags=tags,
    )  # fmt: skip


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--store", help="file or URL; a temporary file without it")
    parser.add_argument("--write", nargs=2, metavar=("NAME", "BATCH"), help="write for a while in this process")
    given = parser.parse_args(argv)
    if given.write:
        sys.stdout.write(f"{write_for_a_while(given.store, given.write[0], int(given.write[1])):.0f}\n")
        return "1 writer"
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or f"{folder}/v.sqlite"
        table = Table("processes", "verdicts in a batch", "verdicts/s", title=f"written, {os.cpu_count()} cores")
        for processes in (1, 3):
            for batch in BATCHES:
                table.add_row(str(processes), str(batch), f"{rate(store, processes, batch):,.0f}")
        CONSOLE.print(table)
        fill(store, given.verdicts)
        if "://" not in store:
            CONSOLE.print(f"{bytes_each(store):.0f} bytes a verdict")
        CONSOLE.print(questions(store))
    return f"{given.verdicts} verdicts"


def rate(store: str, processes: int, batch: int) -> float:
    """Return the verdicts a second of several processes together."""
    command = [sys.executable, "-m", "benchmarks.store", "--store", store]
    writers = [
        subprocess.Popen([*command, "--write", f"{processes}-{batch}-{one}-", str(batch)], stdout=subprocess.PIPE)
        for one in range(processes)
    ]
    return sum(float(writer.communicate()[0].split()[0]) for writer in writers)


def write_for_a_while(store: str, name: str, batch: int) -> float:
    """Write for TIMED seconds; return verdicts a second."""
    with VerdictStore(store) as opened:
        started, written = time.monotonic(), 0
        while time.monotonic() - started < TIMED:
            written += opened.write([verdict(written + one, name) for one in range(batch)])
        return written / (time.monotonic() - started)


def fill(store: str, verdicts: int) -> None:
    """Write many verdicts, as fast as they can be made."""
    with VerdictStore(store) as opened:
        for first in range(0, verdicts, FILLED):
            opened.write([verdict(number) for number in range(first, min(first + FILLED, verdicts))])


def bytes_each(store: str) -> float:
    """Return the size of a file by its verdicts, of which those that were timed are a part."""
    with VerdictStore(store) as opened, opened.reading() as connection:
        return Path(store).stat().st_size / connection.execute(select(func.count()).select_from(VERDICTS)).scalar_one()


def questions(store: str) -> Table:
    """Time what `oddpart history` asks."""
    middle = stamp(BEGIN + timedelta(days=30))
    table = Table("question", "seconds", "processor seconds", title="asked")
    with VerdictStore(store) as opened, opened.reading() as connection:

        def ask(name: str, question: Callable[[], object]) -> None:
            seconds, processor = [], []
            for _ in range(ASKED):
                started, used = time.monotonic(), time.process_time()
                question()
                seconds.append(time.monotonic() - started)
                processor.append(time.process_time() - used)
            table.add_row(name, *(f"{sorted(values)[ASKED // 2]:.2f}" for values in (seconds, processor)))

        one, lot = Wanted("pin_tray"), Wanted(tags={"lot": "100"})
        ask("counts by product, lot and day", lambda: summarise(connection, Wanted(), BY))
        ask("the same, --product", lambda: summarise(connection, one, BY))
        ask("the same, --product --since", lambda: summarise(connection, replace(one, since=middle), BY))
        ask("the same, --lot", lambda: summarise(connection, lot, BY))
        ask("counts --by bundle --by station", lambda: summarise(connection, Wanted(), ("bundle", "station")))
        ask("the newest 20", lambda: list(rows(connection, Wanted(), limit=20)))
        ask(
            "the newest 20, --product --rejected", lambda: list(rows(connection, replace(one, rejected=True), limit=20))
        )
        ask("the newest 20, --lot", lambda: list(rows(connection, lot, limit=20)))
    with VerdictStore(store) as opened:
        started, used = time.monotonic(), time.process_time()
        days = (datetime.now(UTC) - BEGIN) / timedelta(days=1) - 1
        name = f"{opened.prune(keep_days=days)} are deleted"
        table.add_row(name, f"{time.monotonic() - started:.2f}", f"{time.process_time() - used:.2f}")
    return table


if __name__ == "__main__":
    main()
