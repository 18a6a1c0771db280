"""A Prefect server on this machine: loopback only, SQLite unless told otherwise."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flows.commands import supervised
from stages.core.run.errors import UserError

HOST = "127.0.0.1"
START_SECONDS = 180.0
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def environment(home: Path, port: int) -> dict[str, str]:
    """Variables for the server, its workers and its clients."""
    return {**os.environ, **QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url(port)}


def api_url(port: int) -> str:
    return f"http://{HOST}:{port}/api"


def free_port() -> int:
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
    home.mkdir(parents=True, exist_ok=True)
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
    """As `environment`, without the address of a server: a server that finds one takes itself for a client."""
    variables = environment(home, port)
    del variables["PREFECT_API_URL"]
    return variables


def answers(port: int) -> bool:
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
    """A server without its web pages, as long as the block runs."""
    home.mkdir(parents=True, exist_ok=True)
    process = start_server(home, port, log=home / "server.log", ui=False)
    try:
        yield process
    finally:
        stop(process)
