"""Serve bundles over HTTP until SIGTERM: `oddpart serve bundles/pin_tray --token-file token`.

One process. Several workers (as uvicorn starts them) would hold every bundle once more each, divide the queue, whose
bound then holds for none, and take the cores from each other, since a graph uses all of them already. What starts the
service again after a crash is systemd or the container's restart policy, which watch /healthz, too.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from commands.serve.application import Service, make_application
from commands.serve.lane import Lane
from commands.serve.products import load_products
from commands.serve.settings import LOOPBACK, Limits, guard_of
from commands.verdicts.store import VerdictStore, this_station
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
LAST_SECONDS = 5.0  # that a stopping service leaves clients to take their answers


@dataclass(frozen=True)
class Place:
    """Where a service listens, and where its verdicts go.

    Attributes:
        host, port: to listen on.
        token_file, insecure_loopback: see `guard_of`.
        store: file of the verdict store.
        station: name of this machine.
        threads: of a graph; all cores where None.
        keep_days: older verdicts are deleted; none are where None.
    """

    host: str
    port: int
    token_file: Path | None
    insecure_loopback: bool
    store: Path
    station: str | None
    threads: int | None = None
    keep_days: float | None = None


def serve(bundles: Sequence[str], place: Place, limits: Limits) -> str:
    """Serve bundles until SIGTERM or Ctrl-C; requests that came before get their answers.

    Args:
        bundles: their folders, or NAME=FOLDER.
        place: where.
        limits: of what is taken in.

    Returns:
        The closing counts.

    Raises:
        UserError: there is no token, a bundle cannot be used, the store cannot be opened, or nothing can listen there.
    """
    limits.check()
    guard = guard_of(place.host, token_file=place.token_file, insecure_loopback=place.insecure_loopback)
    products = load_products(bundles, threads=place.threads)
    VerdictStore(place.store).close()  # before a client is let in: what is wrong with it is said at once
    lane = Lane(place.store, this_station(place.station), limits.waiting, limits.pixels, keep_days=place.keep_days)
    service = Service(products, lane, limits, guard)
    application = with_reload(make_application(service), service)
    if place.insecure_loopback:  # else a web page in a browser of this machine could ask by a name of its own
        application.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])
    run(application, place, limits)
    return f"{len(products)} products served"


def with_reload(application: FastAPI, service: Service) -> FastAPI:
    """Let SIGHUP reload the bundles that changed."""
    inner = application.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

        def reload() -> None:
            task = loop.create_task(service.reload_all())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)
        async with inner(app):
            yield
        loop.remove_signal_handler(signal.SIGHUP)

    application.router.lifespan_context = lifespan
    return application


def run(application: FastAPI, place: Place, limits: Limits) -> None:
    """Run the server until it is told to stop.

    Raises:
        UserError: the port is taken, or the host is not one of this machine.
        SystemExit: it could not start.
    """
    config = uvicorn.Config(
        application, host=place.host, port=place.port, log_config=None, access_log=False, server_header=False,
        ws="none", loop="asyncio", http="h11", timeout_keep_alive=10,
        timeout_graceful_shutdown=round(limits.receiving + limits.judging + LAST_SECONDS),
    )  # fmt: skip
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    listener = listen(place.host, place.port)
    LOG.info("listening on http://%s:%d", place.host, place.port)
    # uvicorn raises the signal once more when it has ended well: then it is of no use any more.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
