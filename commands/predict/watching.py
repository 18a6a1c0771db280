"""Judge what a camera drops into a folder, until SIGTERM: `oddpart predict BUNDLE --watch FOLDER --output FOLDER`.

The folder is looked at again and again, by plain polling. Notifications of the kernel (inotify, which watchfiles uses)
do not tell what another machine writes to a network folder, are lost when their queue is full, and know nothing of what
came before the start, so that the same look is needed anyway. A look every half second costs a listing.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.predict.bundled import BundleJudge
from commands.predict.bursts import Burst, Found, Judged
from commands.predict.dropping import CLAIMED, DONE, GIVEN_UP, Drop, Sightings, only_one
from commands.predict.marker import read_marker, write_marker
from commands.predict.projecting import Projection
from commands.predict.reading import ChangedMeanwhile, FileFacts, Reading, ahead, read_file, sha256_of
from commands.predict.results import HEATMAPS
from commands.predict.rows import Judge, NoScore, row_of, verdict_of, write_heatmap
from commands.predict.running import NOT_COVERED, Wishes
from commands.verbs import Closing
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import STORE, Refused, Verdict, as_text, utc_now
from stages.core.run.console import printable
from stages.core.run.errors import UserError
from stages.core.runtime.bundle import load
from stages.core.runtime.calibration import counted

LOG = logging.getLogger(__name__)
SOURCE = "watch"
AT_ONCE = 200  # files between two looks at the folder
PRUNE_EVERY = 3600.0  # seconds


def watch_with_bundle(bundle: Path, drop: Drop, wishes: Wishes) -> Closing:
    """Judge what comes into a folder with a bundle, until SIGTERM or Ctrl-C.

    Args:
        bundle: its folder.
        drop: the folder to watch.
        wishes: what is to be written.

    Returns:
        The counts; the code is 0, as such an end is a good one.

    Raises:
        UserError: the bundle cannot be used, a folder cannot be opened or is in use, or the store cannot be written.
    """
    return watch(BundleJudge(load(bundle)), drop, wishes)


def watch(judge: Judge, drop: Drop, wishes: Wishes) -> Closing:
    """See `watch_with_bundle`."""
    output = own_folder(wishes.output, judge)
    if not judge.covers_components:
        LOG.warning(NOT_COVERED, judge.about["category"], judge.about["method"])
    with only_one(drop.folder), only_one(output), VerdictStore(wishes.store or output / STORE) as store:
        tables = Projection(output, wishes.station, SOURCE)
        tables.start()
        tables.catch_up(store)
        with until_told() as told:
            watcher = Watcher(judge, drop, wishes, store, tables, told)
            LOG.info("watching %s; verdicts go to %s", drop.folder, store.name)
            watcher.run()
    return Closing(watcher.counts(), 0)


def own_folder(path: Path, judge: Judge) -> Path:
    """Make the folder of the results, or go on in that of an earlier watch.

    Raises:
        UserError: it holds something else, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        marker = read_marker(path)
        if any(path.iterdir()) and not (marker or {}).get("watch"):
            raise UserError(f"{path} (--output) holds something else than results of --watch: name a new folder")
        write_marker(path, run=SOURCE, complete=False, about={"watch": True, **judge.about})
    except OSError as error:
        raise UserError(f"{path} (--output) cannot be written: {error}") from None
    return path


@contextmanager
def until_told() -> Iterator[Callable[[], bool]]:
    """Yield what says whether SIGTERM or Ctrl-C came; a second one ends the process as usual."""
    told: list[int] = []

    def note(number: int, frame: object) -> None:
        told.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Watcher:
    """Judges the files of a drop folder in a safe order: claim, judge, store, tables, move.

    Files that wait are judged in turn, and their verdicts stored together: see `Burst`.
    """

    judge: Judge
    drop: Drop
    wishes: Wishes
    store: VerdictStore
    tables: Projection
    told: Callable[[], bool]
    judged: int = 0
    anomalous: int = 0
    refused: int = 0
    repeated: int = 0
    away: bool = False
    pruned: float = field(default_factory=time.monotonic)
    burst: Burst = field(default_factory=Burst)
    sightings: Sightings = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no file seen."""
        self.sightings = Sightings(self.drop)

    def run(self) -> None:
        """Judge until told to stop; a folder that is away is waited for."""
        while not self.told():
            try:
                now = time.monotonic()
                ready = [Found(name, claimed=True) for name in self.sightings.claimed(now)]
                ready += [Found(name) for name in self.sightings.whole(now)]
                self.work(ready[:AT_ONCE])
                self.away = False
            except OSError as error:
                if not self.away:
                    LOG.warning("%s cannot be read or written (%s): trying again", self.drop.folder, error)
                self.away, ready = True, []
            if self.wishes.keep_days is not None and time.monotonic() - self.pruned > PRUNE_EVERY:
                self.store.prune(keep_days=self.wishes.keep_days)
                self.pruned = time.monotonic()
            if len(ready) < AT_ONCE and not self.told():
                time.sleep(self.drop.poll)

    def work(self, found: list[Found]) -> None:
        """Judge files, each to its end."""
        self.burst.take()  # of a round that was interrupted: those files are claimed, and come again
        for one, reading in ahead(self.read, self.unknown(found)):
            if self.told():
                break
            if not reading.done() or self.burst.is_due():
                self.store_waiting()
            try:
                picture = reading.result()
            except UserError as error:
                with self.going_on(one):
                    self.note_failure(one, error)
            else:
                with self.going_on(one):
                    self.take(one, picture)
        self.store_waiting()

    def store_waiting(self) -> None:
        """Store all verdicts that wait, write the tables, and only then move the files on, or remember them.

        Raises:
            UserError: they cannot be stored: the files stay where they are.
        """
        stored = self.burst.take()
        if not stored:
            return
        self.repeated += len(stored) - self.store.write([judged.row for judged in stored])
        for judged in stored:
            self.count(judged)
        self.tables.catch_up(self.store)
        for judged in stored:
            with self.going_on(judged.one):
                if judged.one.claimed and os.path.lexists(self.path(judged.one)):
                    self.drop.finish(judged.one.name, judged.place)
                else:
                    self.sightings.end(judged.one.name)

    def count(self, judged: Judged) -> None:
        """Count a file that was stored, and say what became of it."""
        name = printable(judged.one.name)
        if isinstance(judged.row, Verdict):
            self.judged += 1
            self.anomalous += judged.row.is_anomalous
            LOG.info("%s: %s", name, judged.said)
        else:
            self.refused += 1
            LOG.warning("unreadable: %s: %s", name, judged.said)

    def counts(self) -> str:
        """Return the closing counts; what came again is stored once, and so the history has fewer."""
        counts = f"{counted(self.judged, 'picture')} judged, {self.anomalous} anomalous, {self.refused} unreadable"
        again = f", {self.repeated} of them stored before under the same name, with the same content and tags"
        return counts + (again if self.repeated else "")

    @contextmanager
    def going_on(self, one: Found) -> Iterator[None]:
        """Let a file that cannot be moved or looked at not hold up the others: it is tried again later."""
        try:
            yield
        except OSError as error:
            LOG.warning("%s: %s: trying again", printable(one.name), error)
            with suppress(OSError):
                self.sightings.gives_up(one.name, time.monotonic(), claimed=one.claimed)

    def unknown(self, found: list[Found]) -> Iterator[Found]:
        """Yield the files that have to be judged; those that were are moved on, or remembered."""
        for one in found:
            if self.told():
                return
            table = self.known(one) if one.claimed or self.drop.stay else None
            if table is None:
                yield one
            elif one.claimed:
                with self.going_on(one):
                    self.drop.finish(one.name, DONE if table == "verdicts" else GIVEN_UP)
            else:
                self.sightings.end(one.name)

    def known(self, one: Found) -> str | None:
        """Return the table of the store that has a file, None where none has."""
        try:
            sha256 = sha256_of(self.path(one))
        except OSError:
            return None
        return self.store.known_as(as_text(one.name), sha256, station=self.wishes.station)

    def path(self, one: Found) -> Path:
        """Return where a file is."""
        return self.drop.path(CLAIMED, one.name) if one.claimed else self.drop.folder / one.name

    def read(self, one: Found) -> Reading:
        """Read a file, in a thread."""
        return read_file(self.path(one), self.judge.grey_range, self.judge.calibration.files)

    def take(self, one: Found, picture: Reading) -> None:
        """Claim a file that could be read, and judge it.

        A file that was replaced or written to since it was read is read again in the next round.
        """
        if not (one.claimed or self.drop.stay):
            claimed = self.drop.claim(one.name)
            if claimed is None or FileFacts.of(claimed) != picture.facts:
                return
            one = Found(one.name, claimed=True)
        try:
            row = self.row(one, picture)
        except NoScore as error:
            self.refuse(one, str(error), picture.sha256)
            return
        try:
            if FileFacts.of(self.path(one)) != picture.facts:
                return
        except FileNotFoundError:  # taken away by somebody, who has a verdict all the same
            pass
        verdict = "ANOMALOUS" if row["is_anomalous"] else "normal"
        said = f"{verdict}, score {row['score']:.4g}, threshold {row['threshold']:.4g}"
        self.burst.put(Judged(one, verdict_of(row, self.judge.about, station=self.wishes.station, source=SOURCE), said))

    def row(self, one: Found, picture: Reading) -> dict[str, Any]:
        """Judge a picture, and draw its heatmap.

        Raises:
            NoScore: its score is no number.
            UserError: the heatmap cannot be written.
        """
        started = time.perf_counter()
        found = self.judge.judge(picture.pixels)
        seconds = picture.seconds + time.perf_counter() - started
        row = row_of(self.judge, one.name, picture, found, milliseconds=1000 * seconds, tags=self.wishes.tags)
        if not self.wishes.heatmaps:
            return row
        # By content: a name may come again.
        heatmap = Path(HEATMAPS, f"{one.name}.{picture.sha256[:12]}.jpg")
        path = self.wishes.output / heatmap
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_heatmap(path, picture.pixels, found.anomaly_map, self.judge.calibration)
        except OSError as error:
            raise UserError(f"{path} (--output) cannot be written: {error}") from None
        return row | {"heatmap": str(heatmap)}

    def note_failure(self, one: Found, error: UserError) -> None:
        """Wait for a file that cannot be read, since it may not be whole yet; after a time give it up.

        A file that is given up is claimed first, and tried once more.

        Raises:
            OSError: it is gone.
        """
        path, now = self.path(one), time.monotonic()
        if not os.path.lexists(path):
            return
        late = self.sightings.gives_up(one.name, now, claimed=one.claimed)
        if isinstance(error, ChangedMeanwhile) or not late:
            return
        if one.claimed or self.drop.stay:
            sha256 = ""
            with suppress(OSError):  # it may be what cannot be read
                sha256 = sha256_of(path)
            self.refuse(one, str(error).removeprefix(f"{path}: "), sha256)
        else:
            self.sightings.claim_late(one.name, now)

    def refuse(self, one: Found, error: str, sha256: str) -> None:
        """Store that a file cannot be judged, and move it on, together with others."""
        row = Refused(as_text(one.name), sha256, as_text(error), utc_now(), self.wishes.station, SOURCE)
        self.burst.put(Judged(one, row, error))
