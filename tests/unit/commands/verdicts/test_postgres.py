"""A verdict store on a PostgreSQL server; opt-in by ODDPART_POSTGRES=1, with Debian's postgresql and `.[postgres]`."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from commands.app import app
from commands.verdicts.store import VerdictStore
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT
from tests.table import violations
from tests.unit.commands.verdicts.samples import BATCHES, REFUSED, VERDICT

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not os.environ.get("ODDPART_POSTGRES"), reason="set ODDPART_POSTGRES=1 to try PostgreSQL"),
]
PASSWORD = "s3cret"


@dataclass
class Server:
    """A cluster on the loopback address, whose users need a password."""

    folder: Path
    port: int

    def run(self, *command: str) -> None:
        """Run a program of PostgreSQL, which refuses to run as root."""
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert programs, "PostgreSQL is not installed: apt-get install postgresql"
        user = "postgres" if os.getuid() == 0 else None
        words = [str(programs[-1] / command[0]), *command[1:]]
        done = subprocess.run(words, cwd=self.folder, user=user, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")

    def address(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        return f"postgresql://oddpart:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="oddpart-postgres-", dir="/tmp"))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)
    server = Server(folder, port)
    server.run("initdb", "-D", f"{folder}/data", "-U", "oddpart", "--auth=scram-sha-256", f"--pwfile={folder}/password")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> str:
    """A fresh database."""
    from sqlalchemy import create_engine

    name = f"t{abs(hash(request.node.name))}"
    engine = create_engine(server.address().replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return name


def test_verdicts_are_kept_once_and_asked_for(server: Server, database: str) -> None:
    address = server.address(database)
    with VerdictStore(address) as store:
        assert store.write([VERDICT, REFUSED, VERDICT]) == 2
        assert store.write([VERDICT, replace(VERDICT, picture="b.png", is_anomalous=False, unsure=None)]) == 1
        found = list(store.rows_after(0, table="verdicts", station="line 1", source="predict"))
        assert found[0] == {"id": found[0]["id"], **vars(VERDICT)}
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 1") == "verdicts"
        assert store.can_be_written()
    done = CliRunner().invoke(app, ["history", "--store", address, "--lot", "123", "--format", "json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert [(row["judged"], row["rejected"], row["last_rejected"]) for row in answer["summary"]] == [
        (2, 1, VERDICT.time)
    ]
    assert {row["picture"] for row in answer["verdicts"]} == {"a.png", "b.png"}
    with VerdictStore(address) as store:
        assert store.prune(keep_days=0) == 3
        with store.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM tags")).scalar() == 0


def test_the_schema_is_that_of_the_program(server: Server, database: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from commands.verdicts.schema import METADATA, VERSION_TABLE

    with VerdictStore(server.address(database)) as store, store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []


def test_two_processes_may_make_a_store_and_write_to_it_at_once(server: Server, database: str) -> None:
    code = BATCHES.replace('"v.sqlite"', repr(server.address(database))).replace("while True", "while first < 1000")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    writers = [subprocess.Popen([sys.executable, "-c", code, name, "0"], env=environment) for name in ("a", "a", "b")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    with VerdictStore(server.address(database)) as store, store.reading() as connection:
        counts = connection.execute(text("SELECT count(*), count(DISTINCT picture) FROM verdicts")).one()
        assert tuple(counts) == (2000, 2000)


def test_what_cannot_be_used_is_said_in_one_line(server: Server, database: str) -> None:
    with VerdictStore(server.address(database)) as store, store.engine.begin() as connection:
        connection.execute(text("UPDATE oddpart_version SET version_num = '0099'"))
    with VerdictStore(server.address("postgres")) as store, store.engine.begin() as connection:
        connection.execute(text("DROP TABLE oddpart_version"))
    here = f"postgresql://oddpart:***@127.0.0.1:{server.port}"

    def check(address: str, message: str) -> None:
        started = time.monotonic()
        with pytest.raises(UserError) as error:
            VerdictStore(address, patience=0.5)
        assert message in str(error.value)
        assert PASSWORD not in str(error.value)
        assert "\n" not in str(error.value)
        assert time.monotonic() - started < 15

    rows = [
        (server.address(password="wrong"), "authentication failed"),
        (server.address(password="wrong"), "see to user and password"),
        (server.address("nowhere"), 'database "nowhere" does not exist): create it, or name another one'),
        (f"postgresql://oddpart:{PASSWORD}@127.0.0.1:1/x", "see that the server runs and can be reached"),
        (f"postgresql://oddpart:{PASSWORD}@nowhere.invalid/x", "see to the name of the host"),
        (f"{server.address()}?colour=red", "see to what follows the ? of the address"),
        (server.address(database), f"{here}/{database}: is of version 0099, this oddpart knows 0004: install a newer"),
        (server.address("postgres"), "has a table verdicts of something else: name another database"),
    ]
    assert violations(check, rows) == []


def test_a_server_that_is_gone_for_a_while_loses_nothing(server: Server, database: str) -> None:
    """A writer waits for it; when it does not come back in time it says so, and the same rows may be written again."""
    with VerdictStore(server.address(database), patience=30) as store:
        store.write([VERDICT])
        server.stop()
        back = threading.Timer(2.0, server.start)
        back.start()
        assert store.write([VERDICT, replace(VERDICT, picture="b.png")]) == 1
        back.join()
        store.patience = 0.5
        server.stop()
        try:
            with pytest.raises(UserError, match="see that the server runs and can be reached"):
                store.write([replace(VERDICT, picture="c.png")])
            assert not store.can_be_written()
        finally:
            server.start()
        assert store.can_be_written()
        assert store.write([VERDICT, replace(VERDICT, picture="c.png")]) == 1


def test_a_server_that_is_away_at_the_start_is_waited_for(
    server: Server, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    back = threading.Timer(2.0, server.start)
    back.start()
    with VerdictStore(server.address(database), patience=30) as store:
        assert store.write([VERDICT]) == 1
        back.join()
        server.stop()
        back = threading.Timer(2.0, server.start)
        back.start()
        assert store.known_as("a.png", VERDICT.picture_sha256, station="line 1") == "verdicts"
        back.join()
    assert caplog.text.count("the server is away: trying again for 30 seconds") == 2


def test_a_store_of_the_third_revision_is_changed_without_loss(server: Server, database: str) -> None:
    """Its rule of what is unique has the name that PostgreSQL gave it."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    from commands.verdicts.migrating import FOLDER

    engine = create_engine(server.address(database).replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(FOLDER))
        command.upgrade(config, "0003")
    engine.dispose()
    with VerdictStore(server.address(database)) as store:
        assert store.write([VERDICT, replace(VERDICT, tags={"lot": "124"})]) == 2
        assert store.write([VERDICT]) == 0
