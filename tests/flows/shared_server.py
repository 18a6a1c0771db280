"""One Prefect server for all processes of a test session, each of which would else wait 20 s for its own.

    python -m tests.flows.shared_server FOLDER DATABASE

The first process that joins starts it. Whoever uses it holds a shared lock, which the kernel frees however a process
ends; once it is free, the server ends. DATABASE is a file for an empty database, kept from session to session: Prefect
makes one by 113 migrations, which take 10 s.
"""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from flows.serve import START_SECONDS, free_port, start_server, stop
from tests.end_to_end.workspace import REPOSITORY
from tests.once import one_at_a_time

PORT, READY, LOG, HOME = "port", "ready", "server.log", "home"


def join(folder: Path, database: Path) -> None:
    """Use the folder's server until this process ends, which is after Prefect has sent its last logs; no waiting."""
    with one_at_a_time(folder / "starting.lock"):
        fcntl.flock(_users(folder), fcntl.LOCK_SH)  # not before a server that is ending is gone
        if not (folder / PORT).exists():
            (folder / PORT).write_text(str(free_port()))
            command = [sys.executable, "-m", __name__, str(folder), str(database)]
            with (folder / LOG).open("ab") as log:
                process = subprocess.Popen(
                    command, cwd=REPOSITORY, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            process.returncode = 0  # it outlives this process, of which Python would warn


def wait_for_port(folder: Path) -> int:
    """The port of the server, once it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while not (folder / READY).exists():
        assert time.monotonic() < deadline, (folder / LOG).read_text(errors="replace")
        time.sleep(0.1)
    return int((folder / PORT).read_text())


def _users(folder: Path) -> int:
    return os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT)


def keep_empty_database(home: Path, database: Path) -> None:
    """Copy the server's database before anybody uses it; another session may do so, too."""
    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_suffix(f".{os.getpid()}")
    with closing(sqlite3.connect(home / "prefect.db")) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
    unfinished.rename(database)


def main() -> None:
    folder, database = Path(sys.argv[1]), Path(sys.argv[2])
    home = folder / HOME
    if database.exists() and not home.exists():
        home.mkdir()
        shutil.copy(database, home / "prefect.db")
    os.environ["PREFECT_SERVER_BLOCKS_REGISTER_ON_START"] = "false"  # no flow here uses blocks
    server = start_server(home, int((folder / PORT).read_text()), log=folder / LOG, ui=False)
    if not database.exists():
        keep_empty_database(home, database)
    (folder / READY).touch()
    fcntl.flock(_users(folder), fcntl.LOCK_EX)  # waits until nobody holds it
    stop(server)
    for name in (READY, PORT):
        (folder / name).unlink()


if __name__ == "__main__":
    main()
