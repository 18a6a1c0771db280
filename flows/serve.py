"""A Prefect server, the deployments and a worker on this machine: `make serve`. Ctrl-C ends all of it.

The server listens on the loopback address only. Its database is SQLite in work/prefect, unless
PREFECT_SERVER_DATABASE_CONNECTION_URL names another one (postgresql+asyncpg://user:password@host/name).
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from flows.clone import VARIABLE, clone_folder
from flows.commands import checked, supervised
from flows.server import HOST, environment, start_server, stop
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry

LOG = logging.getLogger(__name__)
POOLS = ("oddpart", "oddpart-parts")


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4200)
    port, clone = parser.parse_args(argv).port, clone_folder()
    home = clone / "work/prefect"
    signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C
    LOG.info("starting a Prefect server on port %d: half a minute", port)
    started = [start_server(home, port, log=home / "server.log")]
    try:
        variables = {**environment(home, port), VARIABLE: str(clone)}
        deploy(clone, variables)
        started.append(start_worker(clone, POOLS[0], variables, log=home / "worker.log"))
        tell(port, home)
        wait(started, home)
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(started):
            stop(process)
    return "server and worker stopped"


def deploy(clone: Path, variables: Mapping[str, str]) -> None:
    """Create the work pools and the deployments of prefect.yaml, or bring them up to date."""
    for pool in POOLS:
        command = prefect("work-pool", "create", pool, "--type", "process", "--overwrite")
        checked(command, folder=clone, doing=f"creating the work pool {pool}", environment=variables)
    checked(prefect("--no-prompt", "deploy", "--all"), folder=clone, doing="deploying", environment=variables)


def start_worker(clone: Path, pool: str, variables: Mapping[str, str], *, log: Path) -> subprocess.Popen[bytes]:
    """A worker for the clone; it ends with this process. Of parts it takes one at a time: a clone holds one run."""
    limit = ["--limit", "1"] if pool == POOLS[1] else []
    log.parent.mkdir(parents=True, exist_ok=True)
    name = f"{clone.name}-{os.getpid()}-{pool}"
    with log.open("ab") as output:
        return subprocess.Popen(
            supervised(prefect("worker", "start", "--pool", pool, "--name", name, *limit)),
            cwd=clone, env={**variables, VARIABLE: str(clone)}, process_group=0,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def prefect(*arguments: str) -> list[str]:
    """Prefect's command of this environment."""
    return [sys.executable, "-m", "prefect", *arguments]


def tell(port: int, home: Path) -> None:
    """What to do next."""
    lines = (
        f"Prefect: http://{HOST}:{port}  (server and worker log to {home})",
        "start a run now:  prefect deployment run nightly/nightly",
        f"with              export PREFECT_API_URL=http://{HOST}:{port}/api DO_NOT_TRACK=1",
        "Ctrl-C ends the server, the worker and its runs",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def wait(processes: Sequence[subprocess.Popen[bytes]], home: Path) -> None:
    """Raises:
    UserError: the server or the worker ended by itself.
    """
    while True:
        for process in processes:
            if process.poll() is not None:
                raise UserError(
                    f"the server or the worker ended with code {process.returncode}: see the logs in {home}"
                )
        time.sleep(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
