"""A verdict store where nothing can be written: a read-only folder, medium or file."""

import os
import shutil
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.app import app
from commands.history.asking import Wanted, rows
from commands.verdicts.store import VerdictStore
from stages.core.run.errors import UserError
from tests.unit.commands.verdicts.samples import VERDICT

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a store that anybody may read and nobody write."""
    path = Path(tempfile.mkdtemp(prefix="oddpart-read-only-", dir="/tmp"))
    with VerdictStore(path / "v.sqlite") as store:
        store.write([VERDICT, replace(VERDICT, picture="b.png")])
    path.chmod(0o555)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def as_nobody(check: Callable[[], None]) -> None:
    """Run a check in a process whose rights are those of nobody: root may write everywhere."""
    child = os.fork()
    if not child:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def asked(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["history", *words])
    return done.exit_code, done.output


def test_the_history_reads_it_and_leaves_no_file(folder: Path) -> None:
    def check() -> None:
        code, said = asked("--store", str(folder / "v.sqlite"), "--format", "csv")
        assert code == 0, said
        assert [line.split(",")[1] for line in said.splitlines()[1:]] == ["b.png", "a.png"]

    as_nobody(check)
    assert [path.name for path in folder.iterdir()] == ["v.sqlite"]


def test_the_history_has_what_is_in_the_log_of_a_writer(folder: Path) -> None:
    folder.chmod(0o755)
    with VerdictStore(folder / "v.sqlite") as store:
        store.write([replace(VERDICT, picture="c.png")])
        folder.chmod(0o555)
        assert (folder / "v.sqlite-wal").stat().st_size > 0

        def check() -> None:
            code, said = asked("--store", str(folder / "v.sqlite"), "--format", "csv")
            assert code == 0, said
            assert said.count("c.png") == 1

        as_nobody(check)


def test_what_is_written_to_meanwhile_is_no_answer(folder: Path) -> None:
    def read() -> None:
        with VerdictStore(folder / "v.sqlite", read_only=True) as store, store.reading() as connection:
            next(rows(connection, Wanted(), limit=None))
            with VerdictStore(folder / "v.sqlite") as other:
                other.write([replace(VERDICT, picture="c.png")])

    folder.chmod(0o755)
    with pytest.raises(UserError, match="v.sqlite: was written to while it was read: ask again"):
        read()


def test_who_would_write_is_told_at_the_start(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.chmod(0o755)
    with closing(sqlite3.connect(folder / "old.sqlite")) as database:
        database.execute("PRAGMA application_id=14522919")
        database.execute("PRAGMA user_version=1")
        database.execute("CREATE TABLE verdicts (id)")
    folder.chmod(0o555)

    def check() -> None:
        for name in ("v.sqlite", "new.sqlite"):
            with pytest.raises(UserError, match=f"{name}: cannot be written .* is read-only.: see to the"):
                VerdictStore(folder / name)
        assert asked("--store", str(folder / "v.sqlite"), "--keep-days", "1")[0] == 1
        assert "v.sqlite: cannot be written (it is read-only)" in caplog.text
        assert asked("--store", str(folder / "old.sqlite"))[0] == 1
        assert "is of version 0001, this oddpart knows 0004, and cannot be changed where it is" in caplog.text

    as_nobody(check)
