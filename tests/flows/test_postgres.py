"""The server on PostgreSQL instead of SQLite; opt-in, as it needs Debian's package postgresql: ODDPART_POSTGRES=1."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.serve import free_port
from tests.flows.site import Site
from tests.flows.toy import Toy

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not os.environ.get("ODDPART_POSTGRES"), reason="set ODDPART_POSTGRES=1 to try PostgreSQL"),
]


def postgres(folder: Path, *command: str) -> str:
    """Run a program of PostgreSQL, which refuses to run as root."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "PostgreSQL is not installed: apt-get install postgresql"
    user = "postgres" if os.getuid() == 0 else None
    done = subprocess.run(
        [programs[-1] / command[0], *command[1:]], cwd=folder, user=user, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, int]]:
    """A fresh database cluster on the loopback address, named to Prefect; yields its folder and port."""
    folder, port = Path(tempfile.mkdtemp(prefix="oddpart-postgres-", dir="/tmp")), free_port()
    if os.getuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    postgres(folder, "initdb", "-D", str(folder / "data"), "-U", "prefect", "--auth=trust")
    postgres(folder, "pg_ctl", "-D", str(folder / "data"), "-w", "-l", str(folder / "log"), "-o", options, "start")
    address = f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", address)
    yield folder, port
    postgres(folder, "pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "stop")
    shutil.rmtree(folder)


def test_a_run_is_kept_in_postgresql(database: tuple[Path, int], toy: Toy, tmp_path: Path) -> None:
    folder, port = database
    site = Site(tmp_path / "prefect", free_port())
    try:
        site.start()
        toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
        site.command(toy, "flows.reproduce")
    finally:
        site.close()
    assert toy.value("report") == 71
    query = "select state_type from flow_run"
    states = postgres(folder, "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "-Atc", query, "postgres")
    assert states.split() == ["COMPLETED"]
    assert not list((tmp_path / "prefect").glob("*.db"))
