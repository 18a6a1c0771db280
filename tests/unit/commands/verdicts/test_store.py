"""The verdict store: nothing twice, nothing half, nobody else's file, whoever writes at the same time."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from typer.testing import CliRunner

import commands.verdicts.store as store_module
from commands.app import app
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import as_text, stamp, tags_of, utc_now
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT
from tests.table import violations
from tests.unit.commands.verdicts.samples import BATCHES, REFUSED, VERDICT


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def query(statement: str, file: str = "v.sqlite") -> list[Any]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(statement).fetchall()


def test_a_verdict_is_stored_once() -> None:
    with VerdictStore(Path("deep/v.sqlite")) as store:
        assert store.write([VERDICT, REFUSED, VERDICT]) == 2
        assert store.write([replace(VERDICT, time=utc_now(), score=9.0)]) == 0
        others = [replace(VERDICT, **{name: "x"}) for name in ("picture", "picture_sha256", "bundle_sha256", "station")]
        others.append(replace(VERDICT, tags={"lot": "124", "camera": "2"}))
        assert store.write(others) == 5
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 1") == "verdicts"
        assert store.known_as("b.png", REFUSED.picture_sha256, station="line 1") == "unreadable"
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 2") is None
        row = next(store.rows_after(0, table="verdicts", station="line 1", source="predict"))
        assert row == {"id": 1, **vars(VERDICT)}
    columns = "score, is_anomalous, unsure, day, key, value"
    join = f"SELECT {columns} FROM verdicts JOIN tags USING (tag_set) WHERE id = 1 AND key > 'a' ORDER BY key"
    joined = query(join, "deep/v.sqlite")
    assert joined == [(1.5, 1, 0, "2026-11-30", "camera", "2"), (1.5, 1, 0, "2026-11-30", "lot", "123")]
    assert sorted(path.name for path in Path("deep").iterdir()) == ["v.sqlite"]


def test_all_rows_of_a_call_or_none() -> None:
    with VerdictStore("v.sqlite") as store:
        with pytest.raises(UserError, match=r"v\.sqlite: is no database, or damaged \(NOT NULL constraint failed"):
            store.write([VERDICT, replace(VERDICT, picture="b.png", score=None)])  # type: ignore[arg-type]
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 1") is None
    assert query("SELECT count(*) FROM tags") == [(0,)]


def test_what_is_no_tag() -> None:
    assert tags_of(["lot=123", "who=a=b", "lot=123"]) == {"lot": "123", "who": "a=b"}
    rows = [
        ("lot", "has no value: write it KEY=VALUE"),
        ("=123", "key '' is none"),
        ("lot number=1", "key 'lot number' is none"),
        ("lot=", "has 1 to 255 printable characters"),
        ("lot=a\nb", "has 1 to 255 printable characters"),
        (f"lot={'x' * 256}", "has 1 to 255 printable characters"),
        ("camera=2", "the tag camera is both '1' and '2'"),
        ("station=2", "key 'station' is taken"),
    ]
    for word, message in rows:
        with pytest.raises(UserError, match=message):
            tags_of(["camera=1", word])


def test_nobody_elses_file_is_touched() -> None:
    Path("text").write_text("a text that is longer than the header of a database" * 9)
    with closing(sqlite3.connect("other")) as database:
        database.execute("CREATE TABLE mine (x)")
    for name, statement in (("newer", "UPDATE oddpart_version SET version_num = '0099'"), ("first", "")):
        VerdictStore(name).close()
        with closing(sqlite3.connect(name, isolation_level=None)) as database:
            database.execute(statement)
    with closing(sqlite3.connect("first", isolation_level=None)) as database:  # as a program before revisions sees it
        database.execute("DROP TABLE oddpart_version")
    Path("folder").mkdir()
    rows = [
        ("text", "is no database, or damaged"),
        ("other", "is a database of something else"),
        ("newer", "is of version 0099, this oddpart knows 0004: install a newer one"),
        ("first", "is of version 4, this oddpart knows 0004: install a newer one"),
        ("folder", "is a folder: name the verdict store in it, for example folder/verdicts.sqlite"),
        ("sqlite:///new/", "is a folder: name the verdict store in it, for example new/verdicts.sqlite"),
        ("text/v.sqlite", "cannot be made"),
    ]
    for name, message in rows:
        before = Path(name).read_bytes() if Path(name).is_file() else b""
        with pytest.raises(UserError, match=message):
            VerdictStore(name)
        assert not before or Path(name).read_bytes() == before


def test_an_address_that_cannot_be_used_is_refused_in_one_line() -> None:
    def check(address: str, message: str) -> None:
        with pytest.raises(UserError) as error:
            VerdictStore(address, patience=0.1)
        assert message in str(error.value)
        assert "s3cret" not in str(error.value)
        assert "\n" not in str(error.value)

    rows = [
        ("mysql://me:s3cret@host/x", "mysql is no kind of database that is known here: name a file, sqlite:///FILE or"),
        ("postgresql+asyncpg://me:s3cret@host/x", "postgresql+asyncpg is no kind of database"),
        ("https://host/x.sqlite", "https is no kind of database"),
        ("postgresql://me:s3cret@host:port/x", "is no address of a database"),
        ("://", "is no address of a database"),
        ("postgresql://me:s3cret@host", "postgresql://me:***@host: names no database"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://v.sqlite", "an SQLite file has no host: write sqlite:///FILE"),
        ("sqlite:///v.sqlite?mode=ro", "'mode' is not known"),
        ("", "names no file"),
    ]
    assert violations(check, rows) == []
    with VerdictStore("sqlite:///by-url.sqlite") as store:
        assert (store.write([VERDICT]), store.name) == (1, "by-url.sqlite")


def test_a_file_that_cannot_be_written() -> None:
    """Held by another process, full, or on a read-only file system: one line, and it works again afterwards."""
    with VerdictStore("v.sqlite", patience=0.2) as store:
        with closing(sqlite3.connect("v.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UserError, match="database is locked.: another process holds it for long"):
                store.write([VERDICT])
            assert not store.can_be_written()
        assert store.can_be_written()
        limit(store, "max_page_count=1")
        with pytest.raises(UserError, match="v.sqlite: cannot be written: the disk is full: make space"):
            store.write([replace(VERDICT, picture=f"{number}{'x' * 2000}") for number in range(100)])
        limit(store, "max_page_count=1000000")
        limit(store, "query_only=1")
        with pytest.raises(UserError, match="v.sqlite: cannot be written .it is read-only.: see to the rights"):
            store.write([VERDICT])
        limit(store, "query_only=0")
        assert store.write([VERDICT]) == 1


def limit(store: VerdictStore, pragma: str) -> None:
    """Make SQLite refuse what a full or read-only disk would refuse, with the same code."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        file = connection.connection.driver_connection
        assert file is not None
        file.execute(f"PRAGMA {pragma}")


def test_a_server_that_is_away_at_the_start_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What would go wrong again and again is not; the server is played, see test_postgres.py for a real one."""
    problems: list[DBAPIError] = []
    real, tries = store_module.prepare, []

    def prepare(engine: Engine, *, name: str) -> None:
        tries.append(name)
        if problems:
            raise problems.pop()
        real(engine, name=name)

    monkeypatch.setattr(store_module, "prepare", prepare)
    monkeypatch.setattr(store_module, "PAUSE", 0.01)

    def check(said: str, patience: float, expected: str | None, most: int) -> None:
        problems[:] = [OperationalError(None, None, LookupError(said), connection_invalidated=said == "gone")] * 3
        caplog.clear()
        tries.clear()
        if expected is None:
            VerdictStore("v.sqlite", patience=0.1, at_start=patience).close()
        else:
            with pytest.raises(UserError, match=expected):
                VerdictStore("v.sqlite", patience=patience)
        assert len(tries) == most
        waited = [record for record in caplog.records if "the server is away: trying again for" in record.message]
        assert len(waited) == (1 if most > 1 else 0)

    rows = [
        ("gone", 30.0, None, 4),
        ("Temporary failure in name resolution", 30.0, None, 4),
        ("password authentication failed for user", 30.0, "password authentication failed", 1),
        ("database x does not exist", 30.0, "does not exist", 1),
    ]
    assert violations(check, rows) == []


FIRST_EDITION = """
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    picture TEXT NOT NULL, picture_sha256 TEXT NOT NULL,
    product TEXT NOT NULL, method TEXT NOT NULL, bundle_commit TEXT, bundle_sha256 TEXT NOT NULL,
    score REAL NOT NULL, threshold REAL NOT NULL, p_value REAL, is_anomalous INTEGER NOT NULL, unsure INTEGER,
    explanations TEXT NOT NULL, time TEXT NOT NULL, station TEXT NOT NULL, source TEXT NOT NULL,
    UNIQUE (picture, picture_sha256, bundle_sha256, station));
CREATE TABLE unreadable (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    picture TEXT NOT NULL, picture_sha256 TEXT NOT NULL, error TEXT NOT NULL,
    time TEXT NOT NULL, station TEXT NOT NULL, source TEXT NOT NULL,
    UNIQUE (picture, picture_sha256, station));
CREATE INDEX verdicts_by_time ON verdicts (product, time);
PRAGMA application_id=14522919;
PRAGMA user_version=1;
INSERT INTO verdicts VALUES (3, 'a.png', '0a', 'part', 'x', NULL, 'ab', 1.5, 1.0, NULL, 1, NULL,
    '{"branches": {"students": 1.5}, "size_note": "is larger", "kind_note": "is grey"}',
    '2026-11-29T23:59:59.999Z', 'line 1', 'watch'),
    (7, 'b.png', '0b', 'part', 'x', 'c0ffee', 'ab', 0.5, 1.0, 0.5, 0, 1, '{"branches": {"size_note": 1.0}}',
    '2026-11-30T00:00:00.000Z', 'line 1', 'watch');
INSERT INTO unreadable VALUES (2, 'c.png', '', 'is truncated', '2026-11-30T00:00:01.000Z', 'line 1', 'watch');
"""


def test_a_file_of_the_first_edition_is_changed_without_loss() -> None:
    with closing(sqlite3.connect("v.sqlite")) as database:
        database.executescript(FIRST_EDITION)
    with closing(sqlite3.connect("v.sqlite")) as database:
        columns = (
            "id, picture, picture_sha256, product, method, bundle_commit, bundle_sha256, score, threshold, p_value"
        )
        before = database.execute(f"SELECT {columns}, is_anomalous, unsure, time, station FROM verdicts").fetchall()
    with VerdictStore("v.sqlite") as store:
        found = list(store.rows_after(0, table="verdicts", station="line 1", source="watch"))
        assert [(row["id"], row["note"], row["explanations"], row["tags"]) for row in found] == [
            (3, "is larger; is grey", '{"branches": {"students": 1.5}}', {}),
            (7, None, '{"branches": {"size_note": 1.0}}', {}),
        ]
        assert store.write([VERDICT]) == 1
    assert query(f"SELECT {columns}, is_anomalous, unsure, time, station FROM verdicts WHERE id < 8") == before
    assert query("SELECT id, day FROM verdicts") == [(3, "2026-11-29"), (7, "2026-11-30"), (8, "2026-11-30")]
    origin = "SELECT id, value FROM verdicts JOIN tags USING (tag_set) WHERE key = ':station'"
    assert query(origin) == [(3, "line 1"), (7, "line 1"), (8, "line 1")]
    assert query("SELECT id, picture, error FROM unreadable") == [(2, "c.png", "is truncated")]
    VerdictStore("new.sqlite").close()
    shape = "SELECT name, replace(sql, char(10), ' ') FROM sqlite_master WHERE type = 'index' AND sql != '' ORDER BY 1"
    assert query(shape) == query(shape, "new.sqlite")
    for table in ("verdicts", "unreadable", "tags"):
        names = f"SELECT name FROM pragma_table_info('{table}')"
        assert query(names) == query(names, "new.sqlite")


def test_lots_count_in_what_is_unique_from_the_fourth_revision_on() -> None:
    """No id is used again, although the newest verdict was deleted before."""
    with closing(sqlite3.connect("v.sqlite")) as database:
        database.executescript(FIRST_EDITION)
        database.execute("DELETE FROM verdicts WHERE id = 7")
        database.commit()
    with VerdictStore("v.sqlite") as store:
        assert store.write([VERDICT, replace(VERDICT, tags={"lot": "124"})]) == 2
        assert store.write([VERDICT]) == 0
        assert store.time_of(replace(VERDICT, time=utc_now())) == VERDICT.time
    assert query("SELECT id FROM verdicts ORDER BY id") == [(3,), (8,), (9,)]
    rule = "SELECT replace(sql, char(10), ' ') FROM sqlite_master WHERE name = 'verdicts'"
    VerdictStore("new.sqlite").close()
    assert query(rule) == query(rule, "new.sqlite")


OPENING = """
import logging
from pathlib import Path
from stages.core.run.console import set_up_logging
set_up_logging()
from commands.verdicts.opening import store_of_run
with store_of_run(None, Path("v.sqlite")):
    logging.getLogger("alembic.x").warning("a warning")
"""


def test_a_new_store_says_nothing_of_the_tools_that_make_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", OPENING], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a warning" in done.stderr
    assert "INFO" not in done.stderr


def test_the_migrations_make_the_schema() -> None:
    """A column that one of the two has and the other lacks would be seen here, and so would a forgotten revision."""
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from commands.verdicts.migrating import FOLDER
    from commands.verdicts.schema import HEAD, METADATA, REVISIONS, VERSION_TABLE

    with VerdictStore("v.sqlite") as store, store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD]
    assert sorted(one.revision for one in script.walk_revisions()) == list(REVISIONS)


def test_a_name_that_is_no_utf_8() -> None:
    assert as_text(os.fsdecode(b"gr\xf6sse.png")) == "gr\\xf6sse.png"
    with VerdictStore(Path("v.sqlite")) as store:
        assert store.write([replace(VERDICT, picture=as_text(os.fsdecode(b"\xff")))]) == 1


def test_the_oldest_go() -> None:
    now = datetime.now(UTC)
    with VerdictStore(Path("v.sqlite")) as store:
        ages = [
            replace(VERDICT, picture=str(age), time=stamp(now - timedelta(days=age)), tags={"age": str(age)})
            for age in range(9, -1, -1)
        ]
        store.write([*ages, replace(REFUSED, time=stamp(now - timedelta(days=5)))])
    run = CliRunner().invoke
    words = ["history", "--store", "v.sqlite", "--summary"]
    assert run(app, [*words, "--keep-days", "-1"]).exit_code == 1
    assert run(app, [*words, "--keep-days", "4.5"]).exit_code == 0
    assert query("SELECT picture FROM verdicts ORDER BY id") == [(str(age),) for age in range(4, -1, -1)]
    assert query("SELECT count(*) FROM unreadable") == [(0,)]
    with VerdictStore(Path("v.sqlite")) as store:
        assert store.prune(keep_rows=2) == 3
        assert store.prune() == 0
    assert query("SELECT picture FROM verdicts ORDER BY id") == [("1",), ("0",)]
    assert query("SELECT value FROM tags WHERE key = 'age' ORDER BY value") == [("0",), ("1",)]


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Verdict
VERDICT = Verdict('', '0a', 'part', 'x', None, 'ab', 1.5, 1.0, None, True, None, '{}', '2026-11-30', 'l', 'predict')
with VerdictStore(Path("v.sqlite")) as store:
    for number in range(100):
        store.write([replace(VERDICT, picture=str(number)), replace(VERDICT, picture=f"{sys.argv[1]} {number}")])
"""


def test_processes_write_at_the_same_time() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name], env=environment) for name in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    assert query("SELECT count(*), count(DISTINCT picture) FROM verdicts") == [(400, 400)]


@pytest.mark.parametrize("kills", [6, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_kill_loses_no_verdict_that_was_acknowledged(kills: int) -> None:
    """Two writers are killed at random and go on from what was acknowledged: nothing is lost or there twice."""
    chance, heard = random.Random(kills), {"a": 0, "b": 0}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(kills):
        writers = {
            name: subprocess.Popen(
                [sys.executable, "-c", BATCHES, name, str(heard[name])],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in heard
        }
        for writer in writers.values():
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.5))
        for name, writer in writers.items():
            writer.kill()
            lines = [int(line) for line in writer.communicate()[0].splitlines() if line.strip()]
            heard[name] = max([heard[name] + 50, *lines])
    stored = Counter(name for (name,) in query("SELECT picture FROM verdicts"))
    assert set(stored.values()) == {1}
    expected = {f"{name} {number}" for name, count in heard.items() for number in range(count)}
    assert len(expected) > 100 * kills
    assert expected - stored.keys() == set()
    assert query("PRAGMA integrity_check") == [("ok",)]
