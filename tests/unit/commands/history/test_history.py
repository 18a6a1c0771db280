"""`oddpart history`: since when, and which lots; as table, CSV and JSON."""

import csv
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from commands.app import app
from commands.history.asking import Wanted, moment_of, rows
from commands.history.showing import Layout, show_history
from commands.history.summary import BY, summarise
from commands.history.verb import Form
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Verdict
from stages.core.run.errors import UserError
from tests.table import violations
from tests.unit.commands.verdicts.samples import REFUSED, VERDICT


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ODDPART_STORE", raising=False)


def verdict(picture: str, time: str, *, rejected: bool, lot: str | None = None, **more: object) -> Verdict:
    tags = {} if lot is None else {"lot": lot, "camera": "2"}
    one = replace(VERDICT, picture=picture, time=f"2026-11-{time}Z", is_anomalous=rejected, tags=tags)
    return replace(one, **more)  # type: ignore[arg-type]


def fill() -> None:
    with VerdictStore("verdicts.sqlite") as store:
        store.write(
            [
                verdict("1", "28T23:59:59.000", rejected=False, lot="A"),
                verdict("2", "29T00:00:00.000", rejected=True, lot="A", unsure=True),
                verdict("3", "29T10:00:00.000", rejected=True, lot="B"),
                verdict("4", "29T09:00:00.000", rejected=True, lot="B", unsure=None),
                verdict("5", "29T11:00:00.000", rejected=False, lot="B", unsure=True),
                verdict("6", "30T08:00:00.000", rejected=True),
                verdict("7", "30T08:00:00.000", rejected=False, product="bar", station="=1+1", bundle_sha256="cd"),
                REFUSED,
            ]
        )


def ask(*words: str) -> str:
    done = CliRunner().invoke(app, ["history", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def summary(*words: str) -> list[dict[str, object]]:
    answer = json.loads(ask(*words, "--format", "json", "--summary"))
    assert list(answer) == ["summary"]
    return list(answer["summary"])


def listed(*words: str) -> list[str]:
    return [row["picture"] for row in csv.DictReader(StringIO(ask(*words, "--format", "csv")))]


def test_counts_by_product_lot_and_day() -> None:
    fill()
    rows = [tuple(row.values()) for row in summary()]
    assert rows == [
        ("bar", "", "2026-11-30", 1, 0, 0.0, 0, None, None),
        ("part", "", "2026-11-30", 1, 1, 1.0, 0, "2026-11-30T08:00:00.000Z", "2026-11-30T08:00:00.000Z"),
        ("part", "A", "2026-11-28", 1, 0, 0.0, 0, None, None),
        ("part", "A", "2026-11-29", 1, 1, 1.0, 1, "2026-11-29T00:00:00.000Z", "2026-11-29T00:00:00.000Z"),
        ("part", "B", "2026-11-29", 3, 2, 0.666667, 1, "2026-11-29T09:00:00.000Z", "2026-11-29T10:00:00.000Z"),
    ]
    by_lot = summary("--by", "lot", "--product", "part")
    assert [(row["lot"], row["judged"], row["rejected"]) for row in by_lot] == [("", 1, 1), ("A", 2, 1), ("B", 3, 2)]
    by_bundle = summary("--by", "bundle", "--by", "station")
    found = [(row["bundle"], row["station"], row["judged"], row["last_rejected"]) for row in by_bundle]
    assert found == [("ab" * 32, "line 1", 6, "2026-11-30T08:00:00.000Z"), ("cd", "=1+1", 1, None)]


def test_what_is_asked_for_is_listed_the_newest_first() -> None:
    fill()

    def check(words: str, expected: str) -> None:
        assert "".join(listed(*words.split())) == expected

    rows = [
        ("", "7653421"),
        ("--product part", "653421"),
        ("--rejected", "6342"),
        ("--unsure", "52"),
        ("--rejected --unsure", "2"),
        ("--lot B", "534"),
        ("--tag camera=2 --tag lot=A", "21"),
        ("--lot never", ""),
        ("--since 2026-11-29 --until 2026-11-29", "5342"),
        ("--since 2026-11-29T10:00 --until 2026-11-30T08:00", "53"),
        ("--since 2026-11-29T12:00+02:00 --lot B", "53"),
        ("--limit 2", "76"),
        ("--limit 0", ""),
    ]
    assert violations(check, rows) == []


def test_three_forms_say_the_same() -> None:
    fill()
    table = ask("--product", "part")
    assert "2026-11-29 09:00:00" in table
    assert "66.7 %" in table
    assert "camera=2 lot=A" in table
    (row,) = [row for row in csv.DictReader(StringIO(ask("--format", "csv", "--summary"))) if row["lot"] == "B"]
    assert (row["judged"], row["rejected"], row["rejected_rate"]) == ("3", "2", "0.666667")
    answer = json.loads(ask("--format", "json", "--limit", "1"))
    assert list(answer) == ["summary", "verdicts"]
    assert answer["verdicts"][0] | {"tags": None} == vars(VERDICT) | {
        "id": 7, "picture": "7", "time": "2026-11-30T08:00:00.000Z", "is_anomalous": False, "product": "bar",
        "station": "=1+1", "bundle_sha256": "cd", "explanations": {"branches": {"students": 1.5}}, "tags": None,
    }  # fmt: skip
    assert json.loads(ask("--format", "json", "--list", "--lot", "never")) == {"verdicts": []}
    with_rows, without = ask("--format", "csv"), ask("--format", "csv", "--lot", "never")
    assert without.splitlines() == with_rows.splitlines()[:1]
    assert without.startswith("id,picture,picture_sha256,product,")
    assert "./=1+1" in ask("--format", "csv"), "a spreadsheet would compute it"


def test_a_store_without_lots_is_counted_by_them_unless_they_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with VerdictStore("verdicts.sqlite") as store:
        store.write([verdict("1", "28T23:59:59.000", rejected=False)])
    assert [row["lot"] for row in summary()] == [""]
    assert CliRunner().invoke(app, ["history", "--by", "lot"], catch_exceptions=False).exit_code == 1
    assert "no verdict has a tag 'lot'" in caplog.text
    assert "tags are none yet" in caplog.text


def test_a_store_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    Path("verdicts.sqlite").rename("moved.sqlite")
    monkeypatch.setenv("ODDPART_STORE", "sqlite:///moved.sqlite")
    assert listed("--lot", "A") == ["2", "1"]


def test_a_question_that_cannot_be_meant(caplog: pytest.LogCaptureFixture) -> None:
    fill()
    Path("folder").mkdir()

    def check(words: str, message: str) -> None:
        caplog.clear()
        assert CliRunner().invoke(app, ["history", *words.split()], catch_exceptions=False).exit_code == 1
        (record,) = caplog.records
        assert message in record.getMessage()

    rows = [
        ("--product pat", "verdicts.sqlite: has no verdict on 'pat': name one of bar, part"),
        ("--tag line=1", "verdicts.sqlite: no verdict has a tag 'line': name one of camera, lot"),
        (
            "--by nonsense",
            "no verdict has a tag 'nonsense': count --by product, day, bundle, method, station, ",
        ),
        ("--by day --by prodct", "which every verdict has; tags are camera, lot"),
        ("--tag lot", "the tag 'lot' has no value"),
        ("--lot A --tag lot=B", "the tag lot is both 'B' and 'A'"),
        ("--since yesterday", "--since 'yesterday': is no time: write 2026-11-30, 2026-11-30T14:05 (UTC without"),
        ("--until 2026-13-01", "--until '2026-13-01': is no time"),
        ("--since 99999999w", "is no time"),
        ("--since 2026-11-30 --until 2026-11-28", "nothing is between them"),
        ("--by lot --by lot", "--by lot: name product, day, bundle"),
        ("--by a+b", "--by a+b: name product"),
        ("--limit -1", "--limit -1: name a number from 0 to 1000000000000"),
        ("--keep-days nan", "--keep-days nan: name a number from 0 to 365000"),
        ("--keep-days 1e10", "--keep-days 10000000000.0: name a number from 0 to"),
        ("--keep-rows 99999999999999999999", "--keep-rows 99999999999999999999: name a number from 0 to"),
        ("--summary --list", "--summary and --list: name one of them"),
        ("--store gone.sqlite", "gone.sqlite: there is no such file: name a verdict store with --store"),
        ("--store folder", "folder: is a folder: name the verdict store in it, for example folder/verdicts.sqlite"),
        ("--store mysql://x/y", "mysql is no kind of database"),
    ]
    assert violations(check, rows) == []
    assert not Path("gone.sqlite").exists()


def test_what_reads_the_answer_may_end_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `oddpart history --format csv | head -1`: the store is not to blame."""
    fill()
    reader, writer = os.pipe()
    os.close(reader)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", SimpleNamespace(write=lambda text: os.write(writer, text.encode())))
        with pytest.raises(BrokenPipeError):
            show_history("verdicts.sqlite", Wanted(), Layout(BY, Form.CSV))
    os.close(writer)


def test_times() -> None:
    assert moment_of("2026-11-30", "--until", end=True) == "2026-12-01T00:00:00.000Z"
    assert moment_of("2026-11-30T00:00", "--until", end=True) == "2026-11-30T00:00:00.000Z"
    assert moment_of("2w", "--since") < moment_of("12h", "--since") < moment_of("90m", "--since")
    with pytest.raises(UserError, match="is no time"):
        moment_of("", "--since")


def plans(act: Callable[[VerdictStore], object], store: VerdictStore) -> list[str]:
    """How SQLite finds the rows of `verdicts` in all statements of an act; each alias is called so, too."""
    seen: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, values: Any, *more: object) -> None:
        seen.append((statement, values))

    event.listen(store.engine, "before_cursor_execute", note)
    act(store)
    event.remove(store.engine, "before_cursor_execute", note)
    with closing(sqlite3.connect("verdicts.sqlite")) as database:
        steps = [step for one in seen if one[0].startswith(("SELECT", "DELETE"))
                 for _, _, _, step in database.execute(f"EXPLAIN QUERY PLAN {one[0]}", one[1])]  # fmt: skip
    return [step for step in steps if "verdicts" in step]


def test_no_question_and_no_deletion_reads_all_verdicts() -> None:
    """At a million verdicts that is the difference between a tenth of a second and a minute."""
    fill()

    def counts(**wanted: Any) -> Callable[[VerdictStore], object]:
        def count(store: VerdictStore) -> object:
            with store.reading() as connection:
                return summarise(connection, Wanted(**wanted), BY)

        return count

    def newest(**wanted: Any) -> Callable[[VerdictStore], object]:
        def choose(store: VerdictStore) -> object:
            with store.reading() as connection:
                return list(rows(connection, Wanted(**wanted), limit=3))

        return choose

    def check(act: Callable[[VerdictStore], object], by: str) -> None:
        with VerdictStore("verdicts.sqlite") as store:
            found = plans(act, store)
        assert any(by in step for step in found), found
        whole = [step for step in found if step.startswith("SCAN") and "COVERING INDEX" not in step]
        assert whole == []

    time = "2026-11-29T00:00:00.000Z"
    cases = [
        (counts(), "SCAN verdicts USING COVERING INDEX"),
        (counts(product="part"), "verdicts_by_day (product=?"),
        (counts(product="part", since=time), "verdicts_by_day (product=? AND day>?"),
        (counts(tags={"lot": "A"}), "verdicts_by_tags (tag_set=?"),
        (counts(product="part", tags={"lot": "A"}), "verdicts_by_tags (tag_set=? AND product=?"),
        (newest(), "COVERING INDEX verdicts_by_time"),
        (newest(rejected=True), "COVERING INDEX verdicts_by_time"),
        (newest(unsure=True), "COVERING INDEX verdicts_by_time"),
        (newest(tags={"lot": "A"}), "verdicts_by_tags (tag_set=?"),
        (lambda store: store.prune(keep_days=1000), "verdicts_by_time (time<?)"),
        (lambda store: store.prune(keep_days=0), "verdicts_by_tags (tag_set=?)"),
    ]
    assert violations(check, cases) == []
