"""Tables of a watched folder that somebody else changed: they are put aside, and no row is written twice."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from commands.predict.projecting import Projection
from commands.verdicts.store import VerdictStore
from tests.unit.commands.verdicts.samples import REFUSED, VERDICT


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VerdictStore:
    monkeypatch.chdir(tmp_path)
    store = VerdictStore("out/verdicts.sqlite")
    store.write([VERDICT, replace(REFUSED, source=VERDICT.source)])
    return store


def start(store: VerdictStore) -> None:
    """Do what a start of `oddpart predict --watch` does."""
    tables = Projection(Path("out"), VERDICT.station, VERDICT.source)
    tables.start()
    tables.catch_up(store)


def test_tables_of_an_older_program_are_put_aside(store: VerdictStore) -> None:
    """They have fewer columns: rows would be shifted. A second start before a new picture writes no row again."""
    with store:
        start(store)
        lines = Path("out/scores.csv").read_text().splitlines()
        old = "\n".join(line.rpartition(",")[0] for line in lines) + "\n"
        Path("out/scores.csv").write_text(old)
        for _ in range(2):
            start(store)
        store.write([replace(VERDICT, picture="b.png", tags={})])
        start(store)
    assert Path("out/scores.before-1.csv").read_text() == old
    with Path("out/scores.csv").open(encoding="utf-8", newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["picture"], row["tags"]) == ("b.png", "")


def test_tables_that_are_damaged_are_put_aside_and_written_anew(store: VerdictStore) -> None:
    """By a spreadsheet, or by hand; each has all rows of the store then, since nobody knows what the old one lacks."""
    damages = [
        ("scores.csv", "\ufeffid;picture\n1;a.png\n".encode("utf-16")),
        ("scores.jsonl", b'{"id": 1, "picture": "a.png"}\nhalf of a li\n'),
        ("unreadable.csv", b"path,error\nb.png,is truncated\n"),
    ]
    with store:
        for name, damaged in damages:
            Path("out", name).write_bytes(damaged)
            for _ in range(2):
                start(store)
            stem, _, suffix = name.partition(".")
            assert Path(f"out/{stem}.before-1.{suffix}").read_bytes() == damaged
            rows = Path("out", name).read_text().splitlines()
            assert len(rows) == (1 if suffix == "jsonl" else 2), name
            assert VERDICT.picture in rows[-1] or REFUSED.picture in rows[-1]
