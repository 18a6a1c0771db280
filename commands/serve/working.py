"""The process of a service that judges: its application, made of bundles and a store."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.config import STARTUP_FAILURE

from commands.serve.application import Service, make_application
from commands.serve.lane import LOOK_AGAIN, Lane
from commands.serve.products import load_products
from commands.serve.running import Place
from commands.serve.settings import LOOPBACK, Limits, guard_of
from commands.verdicts.verdict import this_station
from stages.core.run.console import set_up_logging
from stages.core.run.errors import UserError, machine_problem

LOG = logging.getLogger(__name__)


def make_worker(bundles: Sequence[str], place: Place, limits: Limits) -> FastAPI:
    """Make the application.

    Args:
        bundles: their folders, or NAME=FOLDER.
        place: where it listens, and where verdicts go.
        limits: of what is taken in.

    Raises:
        SystemExit: a bundle cannot be used, or the store cannot be opened; it has been said in one line.
    """
    set_up_logging()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    try:
        return application_of(bundles, place, limits)
    except UserError as error:
        LOG.error("%s", error)
    except OSError as error:
        if (problem := machine_problem(error)) is None:
            raise
        LOG.error("%s", problem)
    sys.exit(STARTUP_FAILURE)


def application_of(bundles: Sequence[str], place: Place, limits: Limits) -> FastAPI:
    """See `make_worker`.

    Raises:
        UserError: a bundle cannot be used, or the store cannot be opened.
    """
    guard = guard_of(place.host, token_file=place.token_file, insecure_loopback=place.insecure_loopback)
    products = load_products(bundles, threads=place.threads)
    lane = Lane(place.store, this_station(place.station), limits.waiting, limits.pixels, keep_days=place.keep_days)
    lane.start()
    threading.Thread(target=end_when_stuck, args=[lane, limits.hanging], name="watching", daemon=True).start()
    service = Service(products, lane, limits, guard)
    application = with_reload(make_application(service), service)
    if place.insecure_loopback:  # else a web page in a browser of this machine could ask by a name of its own
        application.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])
    LOG.info("listening on http://%s:%d", place.host, place.port)
    return application


def end_with_parent() -> None:
    """End this process, as by SIGTERM, when the one that supervises it was killed: nobody would start it again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def end_when_stuck(lane: Lane, patience: float) -> None:
    """End this process when the thread that judges hangs or has ended: the one that supervises starts it again.

    What it pings is the thread that answers, which goes on meanwhile. An end at once: a thread that hangs joins none.
    """
    while lane.alive(patience) or (lane.stopping and lane.busy_since is None):
        time.sleep(LOOK_AGAIN)
    LOG.error("the thread that judges hangs for over %g seconds, or ended: it is started again", patience)
    os._exit(1)


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
