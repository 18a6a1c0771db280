"""Run a Prefect server, the deployments and a worker on this machine: `make serve`. Ctrl-C ends all of it.

The server listens on the loopback address only, and asks all its clients for the secret in work/prefect/auth. Its
database is SQLite in work/prefect, unless PREFECT_SERVER_DATABASE_CONNECTION_URL names another one
(postgresql+asyncpg://user:password@host/name).
"""

import argparse
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flows.process.commands import checked, supervised
from flows.site.access import AUTH_FILE, CLIENT_AUTH, access_variables, given_auth, private_folder
from flows.site.clone import VARIABLE, clone_folder
from stages.core.run.errors import UserError
from stages.core.run.stage import command_entry

LOG = logging.getLogger(__name__)
POOLS = ("oddpart", "oddpart-shards")
HOST = "127.0.0.1"
START_SECONDS = 180.0
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


@command_entry
def main(argv: Sequence[str]) -> str:
    """Start everything, and wait for Ctrl-C."""
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
        print_next_steps(port, home)
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
    """Start a worker for the clone; it ends with this process.

    Of shards it takes one at a time: a clone holds one run.
    """
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
    """Build a command of this environment's Prefect."""
    return [sys.executable, "-m", "prefect", *arguments]


def print_next_steps(port: int, home: Path) -> None:
    """Print what to do next; the secret itself is never printed."""
    name, file = given_auth(), home / AUTH_FILE
    source = f"${name}" if name else f"$(cat {shlex.quote(str(file))})"
    lines = (
        f"Prefect: {origin(port)}  (server and worker log to {home})",
        f"password:         the whole text in {f'your variable {name}' if name else file}, user:password",
        "start a run now:  prefect deployment run nightly/nightly",
        f"with              export PREFECT_API_URL={api_url(port)} DO_NOT_TRACK=1",
        f'                  export {CLIENT_AUTH}="{source}"',
        "Ctrl-C ends the server, the worker and its runs",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def wait(processes: Sequence[subprocess.Popen[bytes]], home: Path) -> None:
    """Wait as long as the server and the worker run.

    Raises:
        UserError: one of them ended by itself.
    """
    while True:
        for process in processes:
            if process.poll() is not None:
                raise UserError(
                    f"the server or the worker ended with code {process.returncode}: see the logs in {home}"
                )
        time.sleep(1)


def environment(home: Path, port: int) -> dict[str, str]:
    """Return variables for the server, its workers and its clients; runs inherit those of their worker."""
    access = access_variables(home, origin(port))
    return {**os.environ, **QUIET, **access, "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url(port)}


def origin(port: int) -> str:
    """Return the address of the server's pages."""
    return f"http://{HOST}:{port}"


def api_url(port: int) -> str:
    """Return the address of the server's REST interface."""
    return f"{origin(port)}/api"


def free_port() -> int:
    """Return a port of the loopback address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start_server(home: Path, port: int, *, log: Path, ui: bool = True) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers; its output goes to `log`.

    Raises:
        UserError: the port is taken, the server ended, or it did not answer in time.
    """
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise UserError(f"port {port} of {HOST} is taken: stop what listens there, or give another --port")
    private_folder(home)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            supervised([*command, *([] if ui else ["--no-ui"])]), env=server_environment(home, port),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise UserError(f"the Prefect server did not start, see {log}: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.2)
    return process


def server_environment(home: Path, port: int) -> Mapping[str, str]:
    """Return `environment` without the address of a server: a server that finds one takes itself for a client."""
    variables = environment(home, port)
    del variables["PREFECT_API_URL"]
    return variables


def answers(port: int) -> bool:
    """Return whether a healthy server listens on the port."""
    try:
        with urllib.request.urlopen(f"{api_url(port)}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stop(process: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """Ask a process to end, then make it."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running_server(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server without its web pages, as long as the block runs."""
    private_folder(home)
    process = start_server(home, port, log=home / "server.log", ui=False)
    try:
        yield process
    finally:
        stop(process)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
