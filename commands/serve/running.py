"""Serve bundles over HTTP until SIGTERM: `oddpart serve bundles/pin_tray --token-file token`.

Two processes: one that judges, and a small one that keeps the socket and starts the other again when it was killed or
hangs. Requests that come meanwhile wait in the socket. More that judge would hold every bundle once more each, divide
the queue, whose bound then holds for none, and take the cores from each other, since a graph uses all of them already.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from commands.serve.settings import Limits, guard_of
from commands.verbs import extra_of, install_command
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

LOG = logging.getLogger(__name__)
LAST_SECONDS = 5.0  # that a stopping service leaves clients to take their answers
HANGS = 30  # seconds without a sign of life, after which the process that judges is killed


@dataclass(frozen=True)
class Place:
    """Where a service listens, and where its verdicts go.

    Attributes:
        host, port: to listen on.
        token_file, insecure_loopback: see `guard_of`.
        store: file or URL of the verdict store.
        station: name of this machine.
        threads: of a graph; all cores where None.
        keep_days: older verdicts are deleted; none are where None.
    """

    host: str
    port: int
    token_file: Path | None
    insecure_loopback: bool
    store: str
    station: str | None
    threads: int | None = None
    keep_days: float | None = None


@dataclass(frozen=True)
class Worker:
    """What makes the application, in the process that judges."""

    bundles: Sequence[str]
    place: Place
    limits: Limits

    def __call__(self) -> Any:
        """Make it; whatever goes wrong here would do so again, so it ends the service, and is not tried for ever."""
        try:
            from commands.serve.working import make_worker  # not in the process that supervises, which stays small

            return make_worker(self.bundles, self.place, self.limits)
        except ModuleNotFoundError as error:
            if (extra := extra_of(error.name)) is None:
                LOG.exception("serve cannot start")
            else:
                LOG.error("serve needs %s: run `%s`", error.name, install_command(extra))
        except Exception:
            LOG.exception("serve cannot start")
        sys.exit(STARTUP_FAILURE)


class Supervisor(Multiprocess):
    """Keeps one process alive that judges."""

    failed = False

    def init_processes(self) -> None:
        """Start it."""
        super().init_processes()
        self.let_go()

    def let_go(self) -> None:
        """Close the other end of the pipe here: the end of the process is then seen at once."""
        self.processes[0].child_conn.close()

    def keep_subprocess_alive(self) -> None:
        """Start the process again where it was killed or hangs; end where it cannot start."""
        (before,) = self.processes
        super().keep_subprocess_alive()
        (now,) = self.processes
        self.failed = now.exitcode == STARTUP_FAILURE
        self.let_go()
        if now is not before:
            LOG.error("the process that judges ended (exit code %s): it was started again", before.exitcode)

    def handle_hup(self) -> None:
        """Let the process reload the bundles that changed, rather than end it."""
        with suppress(ProcessLookupError):  # it was killed: the next one loads them anyway
            if pid := self.processes[0].pid:  # 0 would be the whole group
                os.kill(pid, signal.SIGHUP)

    def handle_ttin(self) -> None:
        """Stay at one process."""

    handle_ttou = handle_ttin


def serve(bundles: Sequence[str], place: Place, limits: Limits) -> str:
    """Serve bundles until SIGTERM or Ctrl-C; requests that came before get their answers.

    Args:
        bundles: their folders, or NAME=FOLDER.
        place: where.
        limits: of what is taken in.

    Returns:
        The closing counts.

    Raises:
        UserError: there is no token, or nothing can listen there.
        SystemExit: a bundle cannot be used, or the store cannot be opened; the other process has said so.
    """
    limits.check()
    guard_of(place.host, token_file=place.token_file, insecure_loopback=place.insecure_loopback)
    config = uvicorn.Config(
        Worker(bundles, place, limits), factory=True, host=place.host, port=place.port, log_config=None,
        access_log=False, server_header=False, ws="none", loop="asyncio", http="h11", timeout_keep_alive=10,
        timeout_graceful_shutdown=round(limits.receiving + limits.judging + LAST_SECONDS),
        timeout_worker_healthcheck=HANGS,
    )  # fmt: skip
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what it says of its processes we say in our words
    listener = listen(place.host, place.port)
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    supervisor = Supervisor(config, [listener])
    try:
        supervisor.run()
    finally:
        listener.close()
        for number, handler in before.items():
            if handler is not signal.getsignal(number):
                signal.signal(number, handler)
    if supervisor.failed:
        raise SystemExit(1)
    return f"{counted(len(bundles), 'bundle')} served"


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that requests come to; they wait there until the service is ready.

    Raises:
        UserError: the port is taken, or the host is not one of this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror).partition(" (while ")[0]  # Python adds the address
        raise UserError(
            f"{host}:{port}: cannot be listened on ({reason}): name another --port, or as --host an address of this "
            "machine"
        ) from None
