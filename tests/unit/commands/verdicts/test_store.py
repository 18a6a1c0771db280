"""The verdict store: nothing twice, nothing half, nobody else's file, whoever writes at the same time."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.app import app
from commands.verdicts.showing import show_verdicts
from commands.verdicts.store import Refused, Verdict, VerdictStore, as_text, stamp, utc_now
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT

VERDICT = Verdict(
    picture="a.png", picture_sha256="0a" * 32, product="part", method="oddpart", bundle_commit="c0ffee",
    bundle_sha256="ab" * 32, score=1.5, threshold=1.0, p_value=0.05, is_anomalous=True, unsure=False,
    explanations='{"branches": {"students": 1.5}}', time="2026-11-30T14:05:09.123Z", station="line 1", source="predict",
)  # fmt: skip
REFUSED = Refused("b.png", "0b" * 32, "is truncated", "2026-11-30T14:05:09.123Z", "line 1", "watch")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_verdict_is_stored_once() -> None:
    with VerdictStore(Path("deep/v.sqlite")) as store:
        assert store.write([VERDICT, REFUSED, VERDICT]) == 2
        assert store.write([replace(VERDICT, time=utc_now(), score=9.0)]) == 0
        others = [replace(VERDICT, **{name: "x"}) for name in ("picture", "picture_sha256", "bundle_sha256", "station")]
        assert store.write(others) == 4
        assert store.query("SELECT score, is_anomalous, unsure FROM verdicts WHERE id = 1") == [(1.5, 1, 0)]
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 1") == "verdicts"
        assert store.known_as("b.png", REFUSED.picture_sha256, station="line 1") == "unreadable"
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 2") is None
    assert sorted(path.name for path in Path("deep").iterdir()) == ["v.sqlite"]


def test_all_rows_of_a_call_or_none() -> None:
    with VerdictStore(Path("v.sqlite")) as store:
        with pytest.raises(UserError, match=r"v\.sqlite: is no database, or damaged \(NOT NULL constraint failed"):
            store.write([VERDICT, replace(VERDICT, picture="b.png", score=None)])  # type: ignore[arg-type]
        assert store.query("SELECT count(*) FROM verdicts") == [(0,)]


def test_nobody_elses_file_is_touched() -> None:
    Path("text").write_text("a text that is longer than the header of a database" * 9)
    with closing(sqlite3.connect("other")) as database:
        database.execute("CREATE TABLE mine (x)")
    with VerdictStore(Path("newer")) as store:
        store.database.execute("PRAGMA user_version=2")
    Path("folder").mkdir()
    rows = [
        ("text", "is no database, or damaged"),
        ("other", "is a database of something else"),
        ("newer", "is of version 2, this oddpart knows 1"),
        ("folder", "cannot be written or read"),
        ("text/v.sqlite", "cannot be made"),
    ]
    for name, message in rows:
        before = Path(name).read_bytes() if Path(name).is_file() else b""
        with pytest.raises(UserError, match=message):
            VerdictStore(Path(name))
        assert not before or Path(name).read_bytes() == before


def test_a_name_that_is_no_utf_8() -> None:
    assert as_text(os.fsdecode(b"gr\xf6sse.png")) == "gr\\xf6sse.png"
    with VerdictStore(Path("v.sqlite")) as store:
        assert store.write([replace(VERDICT, picture=as_text(os.fsdecode(b"\xff")))]) == 1


def test_a_folder_with_a_store_is_no_store() -> None:
    VerdictStore(Path("verdicts/verdicts.sqlite")).close()
    with pytest.raises(UserError, match="verdicts: is a folder: name the verdict store in it, mostly verdicts.sqlite"):
        show_verdicts(Path("verdicts"), keep_days=None, keep_rows=None)


def test_the_oldest_go() -> None:
    now = datetime.now(UTC)
    with VerdictStore(Path("v.sqlite")) as store:
        ages = [replace(VERDICT, picture=str(age), time=stamp(now - timedelta(days=age))) for age in range(9, -1, -1)]
        store.write([*ages, replace(REFUSED, time=stamp(now - timedelta(days=5)))])
    run = CliRunner().invoke
    assert run(app, ["verdicts", "gone.sqlite"]).exit_code == 1
    assert run(app, ["verdicts", "v.sqlite", "--keep-days", "-1"]).exit_code == 1
    assert run(app, ["verdicts", "v.sqlite", "--keep-days", "4.5"]).exit_code == 0
    with VerdictStore(Path("v.sqlite")) as store:
        assert store.query("SELECT picture FROM verdicts ORDER BY id") == [(str(age),) for age in range(4, -1, -1)]
        assert store.query("SELECT count(*) FROM unreadable") == [(0,)]
        assert store.prune(keep_rows=2) == 3
        assert store.query("SELECT picture FROM verdicts ORDER BY id") == [("1",), ("0",)]
        assert store.prune() == 0


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from commands.verdicts.store import VerdictStore
from commands.verdicts.store import Verdict
VERDICT = Verdict('', '0a', 'part', 'x', None, 'ab', 1.5, 1.0, None, True, None, '{}', 't', 'line 1', 'predict')
with VerdictStore(Path("v.sqlite")) as store:
    for number in range(100):
        store.write([replace(VERDICT, picture=str(number)), replace(VERDICT, picture=f"{sys.argv[1]} {number}")])
"""


def test_processes_write_at_the_same_time() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name], env=environment) for name in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    with VerdictStore(Path("v.sqlite")) as store:
        assert store.query("SELECT count(*), count(DISTINCT picture) FROM verdicts") == [(400, 400)]
