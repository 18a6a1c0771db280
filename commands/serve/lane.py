"""The queue of pictures, and the thread that judges them one after the other and stores the verdicts.

One thread, since a graph takes all cores in its turn. Pictures are decoded in others meanwhile. Graphs are exported for
one picture at a time; what is done in batches under load is the store: verdicts that come within moments of each other
share the one wait for the disk.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.predict.bundled import BundleJudge
from commands.predict.reading import Reading, read_file
from commands.predict.rows import row_of, verdict_of
from commands.serve.products import Product
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Verdict
from stages.core.run.errors import UserError
from stages.core.runtime.kinds import FOREIGN, HEAD, kind_of, refusal

LOG = logging.getLogger(__name__)
SOURCE = "serve"
DECODED = 2  # pictures that are decoded and wait
TOGETHER = 16  # verdicts that are stored at once
LONGEST_WAIT = 0.05  # seconds that a verdict waits for others
PATIENCE = 5.0  # seconds to wait for a database that is away or locked: clients wait as well
PATIENCE_AT_START = 30.0  # for a server that is away: no client waits yet
LOOK_AGAIN = 1.0  # seconds until a database that failed is tried again while nobody asks
PRUNE_EVERY = 3600.0  # seconds


class Late(Exception):
    """A picture whose turn did not come in time."""


class NotStored(Exception):
    """A verdict that could not be stored, and therefore is none."""


@dataclass(eq=False)
class Job:
    """A picture that waits.

    Attributes:
        name: as the client calls it.
        content: of its file.
        deadline: until when a verdict is of use; seconds of the monotonic clock.
        tags: what the line says of it.
        result: its row.
        judge: the product's bundle when the job came; it judges, whatever is loaded meanwhile.
    """

    product: Product
    name: str
    content: bytes
    deadline: float
    tags: Mapping[str, str] = field(default_factory=dict)
    result: Future[dict[str, Any]] = field(default_factory=Future)
    judge: BundleJudge = field(init=False)

    def __post_init__(self) -> None:
        """Take the bundle in use."""
        self.judge = self.product.judge

    @property
    def useless(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.result.cancelled() or time.monotonic() > self.deadline


@dataclass
class Lane:
    """Judges pictures in the order in which they came.

    Attributes:
        store: file or URL of the verdict store.
        capacity: pictures that may wait.
        max_pixels: of a picture.
        judged: called with product, row and seconds of each verdict.
        keep_days: older verdicts are deleted once an hour; none are where None.
    """

    store: str
    station: str
    capacity: int
    max_pixels: int
    judged: Callable[[Product, dict[str, Any], float], None] = lambda product, row, seconds: None  # noqa: E731
    keep_days: float | None = None
    waiting: deque[Job] = field(default_factory=deque)
    there_is_work: threading.Condition = field(default_factory=threading.Condition)
    stopping: bool = False
    stored: bool = True  # whether the last verdicts could be stored
    busy_since: float | None = None
    mean: float = 0.1  # seconds a picture, a moving average
    thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to judge.

        Raises:
            UserError: the store cannot be opened.
        """
        store = VerdictStore(self.store, patience=PATIENCE, at_start=PATIENCE_AT_START)
        self.thread = threading.Thread(target=self.run, args=[store], name="judging", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Judge what waits, then end."""
        with self.there_is_work:
            self.stopping = True
            self.there_is_work.notify()
        if self.thread is not None:
            self.thread.join()

    def admit(self, jobs: Sequence[Job]) -> bool:
        """Take jobs into the queue, all or none; return whether there was space."""
        with self.there_is_work:
            if self.stopping or len(self.waiting) + len(jobs) > self.capacity:
                return False
            self.waiting.extend(jobs)
            self.there_is_work.notify()
            return True

    def alive(self, patience: float) -> bool:
        """Whether the thread runs, and is not busy with one picture, or with the store, for over `patience` seconds."""
        since = self.busy_since
        stuck = since is not None and time.monotonic() - since > patience
        return self.thread is not None and self.thread.is_alive() and not stuck

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Note since when the thread is busy."""
        self.busy_since = time.monotonic()
        try:
            yield
        finally:
            self.busy_since = None

    def seconds_to_wait(self) -> int:
        """Return when a client may try again."""
        return max(1, round(len(self.waiting) * self.mean))

    def run(self, store: VerdictStore) -> None:
        """Judge until told to stop and nothing waits."""
        decoding: deque[tuple[Job, Future[Reading]]] = deque()
        group = Group(self)
        with store, ThreadPoolExecutor(DECODED, thread_name_prefix="decoding") as pool:
            pruned = time.monotonic()
            while True:
                self.fill(decoding, pool)
                if decoding:
                    with self.at_work():
                        self.judge(*decoding.popleft(), group)
                    if not decoding and not self.waiting or group.is_due():
                        group.write(store)
                    continue
                group.write(store)
                if self.keep_days is not None and time.monotonic() - pruned > PRUNE_EVERY:
                    self.prune(store, self.keep_days)
                    pruned = time.monotonic()
                with self.there_is_work:
                    if not self.waiting and self.stopping:
                        return
                    if not self.waiting:
                        self.there_is_work.wait(timeout=60 if self.stored else LOOK_AGAIN)
                if not self.stored and not self.waiting:
                    self.stored = store.can_be_written()

    def prune(self, store: VerdictStore, days: float) -> None:
        """Delete old verdicts; what goes wrong ends no service."""
        try:
            store.prune(keep_days=days)
        except UserError as error:
            LOG.error("%s", error)

    def fill(self, decoding: deque[tuple[Job, Future[Reading]]], pool: ThreadPoolExecutor) -> None:
        """Start to decode the next pictures, so that DECODED are ready next to the one that is judged."""
        while len(decoding) <= DECODED:
            with self.there_is_work:
                if not self.waiting:
                    return
                job = self.waiting.popleft()
            decoding.append((job, pool.submit(self.decode, job)))

    def decode(self, job: Job) -> Reading:
        """Decode a picture from memory.

        Raises:
            UserError: it cannot be read, or has too many pixels.
            Late: nobody waits for it any more.
        """
        if job.useless:
            raise Late
        if (kind := kind_of(job.content[:HEAD], job.name)) in FOREIGN:
            raise UserError(f"{job.name}: {refusal(str(kind))}")
        handle = os.memfd_create("picture")
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(job.content)
            path, judge = Path(f"/proc/self/fd/{handle}"), job.judge
            try:
                return read_file(path, judge.grey_range, judge.calibration.files, max_pixels=self.max_pixels)
            except UserError as error:
                raise type(error)(str(error).replace(str(path), job.name)) from None
        finally:
            os.close(handle)

    def judge(self, job: Job, decoded: Future[Reading], group: Group) -> None:
        """Judge a picture; whatever goes wrong with it is its own affair."""
        try:
            reading, started = decoded.result(), time.monotonic()
            if job.useless:
                raise Late
            judge = job.judge
            found = judge.judge(reading.pixels)
            seconds = time.monotonic() - started
            milliseconds = 1000 * (seconds + reading.seconds)
            row = row_of(judge, job.name, reading, found, milliseconds=milliseconds, tags=job.tags)
            verdict = verdict_of(row, judge.about, station=self.station, source=SOURCE)
            group.add(job, row | {"bundle_sha256": verdict.bundle_sha256}, verdict)
            self.mean += 0.1 * (seconds - self.mean)
            self.judged(job.product, row, seconds)
        except Exception as error:  # one picture must not end the service: the client hears of it
            if not isinstance(error, UserError | Late):
                LOG.exception("%s: %s", job.product.name, job.name)
            settle(job, error)


@dataclass
class Group:
    """Verdicts that are stored together; a client gets none before it is stored."""

    lane: Lane
    jobs: list[tuple[Job, dict[str, Any]]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    since: float = 0.0

    def add(self, job: Job, row: dict[str, Any], verdict: Verdict) -> None:
        """Add a verdict."""
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append((job, row))
        self.verdicts.append(verdict)

    def is_due(self) -> bool:
        """Whether they are many, or wait for long."""
        return len(self.jobs) >= TOGETHER or (bool(self.jobs) and time.monotonic() - self.since > LONGEST_WAIT)

    def write(self, store: VerdictStore) -> None:
        """Store the verdicts and hand them out."""
        if not self.jobs:
            return
        error: Exception | None = None
        try:
            with self.lane.at_work():
                if store.write(self.verdicts) < len(self.verdicts):
                    self.take_times(store)
        except UserError as problem:
            LOG.error("%s", problem)
            error = NotStored()
        self.lane.stored = error is None
        for job, row in self.jobs:
            settle(job, error or row)
        self.jobs.clear()
        self.verdicts.clear()

    def take_times(self, store: VerdictStore) -> None:
        """Answer what is stored, also for a picture that came again with the same tags: the first time stays."""
        for (_, row), verdict in zip(self.jobs, self.verdicts, strict=True):
            row["time"] = store.time_of(verdict)


def settle(job: Job, outcome: dict[str, Any] | Exception) -> None:
    """Hand out a result, unless nobody waits for it."""
    if not job.result.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        job.result.set_exception(outcome)
    else:
        job.result.set_result(outcome)
