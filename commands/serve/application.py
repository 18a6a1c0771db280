"""The service: which addresses there are, who may ask, and what is answered when."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from commands.serve.answers import About, Answer, Reloaded, Verdict, predict_body, verdict_of_row
from commands.serve.bodies import Busy, Held, receive, uploads_of
from commands.serve.lane import Job, Lane, Late, NotStored
from commands.serve.measuring import Metrics
from commands.serve.products import Product
from commands.serve.settings import Guard, Limits
from stages.core.run.errors import UserError
from stages.core.runtime.reading import TooLarge

LOG = logging.getLogger(__name__)
OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")  # without a token: nothing of a product is in them
BUSY = "too much waits already: try again later"
Next = Callable[[Request], Awaitable[Response]]


@dataclass
class Service:
    """All that one service is made of."""

    products: dict[str, Product]
    lane: Lane
    limits: Limits
    guard: Guard
    held: Held = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        self.held = Held(self.limits)
        self.metrics = Metrics(lambda: len(self.lane.waiting), lambda: self.held.bytes)
        self.lane.judged = self.metrics.count

    def product(self, name: str) -> Product:
        """Return a product.

        Raises:
            HTTPException: there is none of this name.
        """
        if name not in self.products:
            raise HTTPException(404, f"no product {name!r} is served: GET /products names them")
        return self.products[name]

    async def predict(self, product: Product, request: Request) -> Response:
        """Judge the pictures of a request.

        Raises:
            HTTPException: it is malformed, too large or too slow.
            Busy: there is no space for it.
        """
        with self.held.request() as receipt:
            body = await receive(request, receipt)
            most = min(self.limits.pictures, self.limits.waiting)
            uploads = await uploads_of(request, body, most=most)
            del body
            deadline = time.monotonic() + self.limits.judging
            jobs = [Job(product, one.name, one.content, deadline, one.tags) for one in uploads]
            if not self.lane.admit(jobs):
                raise Busy
            outcomes = await self.outcomes(jobs)
        return answer(product, jobs, outcomes)

    async def outcomes(self, jobs: Sequence[Job]) -> list[dict[str, Any] | BaseException]:
        """Wait for the verdicts; what is not there in time is given up."""
        waiting = [asyncio.wrap_future(job.result) for job in jobs]
        try:
            await asyncio.wait(waiting, timeout=self.limits.judging)
            return [one.exception() or one.result() if one.done() else Late() for one in waiting]
        finally:
            for one in waiting:
                one.cancel()

    async def reload(self, product: Product) -> bool:
        """Take a product's bundle if it changed; requests go on meanwhile.

        Raises:
            UserError: the new one cannot be used; the old one stays in use.
        """
        try:
            changed = await asyncio.to_thread(product.reload)
        except UserError as error:
            LOG.error("%s: not reloaded: %s", product.name, error)
            self.metrics.reloads.labels(product.name, "refused").inc()
            raise
        self.metrics.reloads.labels(product.name, "changed" if changed else "unchanged").inc()
        return changed

    async def reload_all(self) -> None:
        """Take all bundles that changed: what SIGHUP asks for."""
        await asyncio.gather(*map(self.reload, self.products.values()), return_exceptions=True)

    def retry(self) -> JSONResponse:
        """Return that a client may try again, and when."""
        return JSONResponse({"detail": BUSY}, 429, {"Retry-After": str(self.lane.seconds_to_wait())})


def answer(product: Product, jobs: Sequence[Job], outcomes: Sequence[dict[str, Any] | BaseException]) -> Response:
    """Return the verdicts; the status is that of the first failure if no picture has a verdict."""
    verdicts, failures = [], []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, dict):
            verdicts.append(verdict_of_row(outcome))
            continue
        status, error = failure_of(job, outcome)
        failures.append(status)
        verdicts.append(Verdict(name=job.name, error=error))
    content = Answer(product=product.name, method=jobs[0].judge.bundle.method, verdicts=verdicts)
    status = failures[0] if len(failures) == len(jobs) else 200
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse(content.model_dump(), status, headers)


def failure_of(job: Job, error: BaseException) -> tuple[int, str]:
    """Return status and words of a picture that has no verdict."""
    if isinstance(error, TooLarge | UserError):
        return 413 if isinstance(error, TooLarge) else 422, str(error).removeprefix(f"{job.name}: ")
    if isinstance(error, Late | asyncio.CancelledError):
        return 504, "it was not judged in time"
    if isinstance(error, NotStored):
        return 503, "its verdict could not be stored, and so there is none"
    return 500, "judging it failed: see the log of the service"


def make_application(service: Service) -> FastAPI:
    """Make the application, which stops the lane at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.lane.stop)

    bearer = Depends(HTTPBearer(auto_error=False, description="what --token-file or ODDPART_TOKEN holds"))
    application = FastAPI(
        title="oddpart serve", description=__doc__, lifespan=lifespan, redoc_url=None, dependencies=[bearer]
    )

    @application.middleware("http")
    async def let_in(request: Request, go_on: Next) -> Response:
        if service.guard.expected is None and is_foreign(request):
            return JSONResponse({"detail": "a page of another address may not ask"}, 403)
        if request.url.path not in OPEN and not service.guard.admits(request.headers.get("authorization")):
            return JSONResponse({"detail": "a token is needed"}, 401, {"WWW-Authenticate": "Bearer"})
        return await go_on(request)

    add_products(application, service)
    add_probes(application, service)
    return application


def is_foreign(request: Request) -> bool:
    """Whether a browser asks for a page of another address: without a token any page could use the service."""
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")


def add_products(application: FastAPI, service: Service) -> None:
    """Add what judges pictures."""

    @application.get("/products")
    async def products() -> list[About]:
        """List the products that are served."""
        return [About(**product.about()) for product in service.products.values()]

    @application.post("/products/{name}/predict", response_model=Answer, openapi_extra=predict_body())
    async def predict(name: str, request: Request) -> Response:
        """Judge one or many pictures, as files of a multipart form or as JSON with base64."""
        product, started, status = service.product(name), time.monotonic(), 500
        try:
            response = await service.predict(product, request)
            status = response.status_code
            return response
        except Busy:
            status = 429
            return service.retry()
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            service.metrics.requests.labels(name, str(status)).inc()
            service.metrics.answering.labels(name).observe(time.monotonic() - started)

    @application.post("/products/{name}/reload")
    async def reload(name: str) -> Reloaded:
        """Take the bundle behind the product's folder or link if it changed; the old one judges until then."""
        product = service.product(name)
        try:
            changed = await service.reload(product)
        except UserError as error:
            raise HTTPException(409, str(error)) from None
        return Reloaded(changed=changed, bundle_sha256=product.seal)


def add_probes(application: FastAPI, service: Service) -> None:
    """Add what watches the service."""

    @application.get("/healthz")
    async def healthz() -> Response:
        """Whether the service works at all; where not, start it again."""
        well = service.lane.alive(service.limits.hanging)
        return PlainTextResponse("ok\n" if well else "the judging thread hangs or ended\n", 200 if well else 503)

    @application.get("/readyz")
    async def readyz() -> Response:
        """Whether pictures are judged now; where not, ask another one."""
        ready = service.lane.alive(service.limits.judging) and not service.lane.stopping and service.lane.stored
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    @application.get("/metrics")
    async def metrics() -> Response:
        """Return the counters, for Prometheus."""
        return Response(service.metrics.text(service.products), media_type=CONTENT_TYPE_LATEST)
