"""Score all images of a call, one after the other, and write each result as it comes, whatever judges them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.predict.inputs import NAMED, Inputs, Unreadable, first_of, shortened
from commands.predict.reading import Reading, ahead, read_file
from commands.predict.results import (
    HEATMAPS,
    LINES,
    SCORES,
    SKIPPED,
    UNREADABLE,
    append_line,
    append_row,
    heatmap_names,
    results_folder,
    start_table,
)
from commands.predict.resuming import Earlier, find_earlier
from commands.predict.rows import PLAIN, Judge, row_of, verdict_of, write_heatmap
from commands.verbs import Closing
from commands.verdicts.opening import store_of_run
from commands.verdicts.verdict import STORE, Refused, Verdict, as_text, this_station, utc_now
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

if TYPE_CHECKING:
    from commands.verdicts.store import VerdictStore

LOG = logging.getLogger(__name__)
NOTES = {
    "size_note": "size or aspect ratio",
    "kind_note": "kind, depth or compression",
}  # columns, and what they are about
NOT_COVERED = (
    "logical anomalies (missing, extra or swapped parts) are not covered for %s: %s has no active branch that looks at "
    "components; the report says why, and what would help"
)
NOT_ALL = 2  # exit code when there is an image, or a folder, that could not be read
TOGETHER = 100  # verdicts that are stored in one transaction, each of which waits for the disk
SOURCE = "predict"


@dataclass(frozen=True)
class Wishes:
    """What is to be written.

    Attributes:
        output: folder to make for the results.
        overwrite: whether earlier results there may be replaced.
        heatmaps: whether they are drawn.
        store: file or URL of the verdict store; STORE in the folder where None.
        station: this machine's or camera's name.
        keep_days: older verdicts are deleted while a folder is watched; none are where None.
        tags: what the line says of all pictures.
    """

    output: Path
    overwrite: bool = False
    heatmaps: bool = False
    store: str | None = None
    station: str = field(default_factory=lambda: this_station(None))
    keep_days: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A picture to judge.

    Attributes:
        path: of its file.
        heatmap: file to draw; None where none is asked for.
        known: its row, if an earlier run has judged it.
    """

    path: Path
    heatmap: Path | None
    known: dict[str, Any] | None


def score_given(load: Callable[[], Judge], inputs: Inputs, wishes: Wishes) -> Closing:
    """Score pictures, and put the folder of results in place when all were tried.

    Args:
        load: makes what judges them, once it is known that results can be written.
        inputs: the pictures.
        wishes: what is to be written.

    Returns:
        The counts, and NOT_ALL if something could not be read.

    Raises:
        UserError: the folder may not be written, or nothing can be loaded or stored.
    """
    with results_folder(wishes.output, overwrite=wishes.overwrite) as results:
        judge = load()
        results.about |= {**judge.about, "tags": dict(wishes.tags)}
        results.mark()
        earlier = find_earlier(results.target, results.folder, about=results.about)
        with store_of_run(wishes.store, results.folder / STORE) as store:
            run = Run(judge, results.folder, store, wishes, Outcome(len(inputs.skipped)))
            run.score(inputs, heatmaps=wishes.heatmaps, earlier=earlier)
        results.about |= run.outcome.counts()
    if not judge.covers_components:
        LOG.warning(NOT_COVERED, judge.about["category"], judge.about["method"])
    return Closing(str(run.outcome), NOT_ALL if run.outcome.unreadable else 0)


@dataclass
class Outcome:
    """What a run has come to so far.

    Attributes:
        skipped: how many files and folders were passed over.
        milliseconds: how many images took so long.
        anomalous, unsure: how many images are so.
        unlike: how many of them differ from the training images, by the column that says so.
        unreadable: how many could not be read.
        first_unreadable: NAMED of them.
    """

    skipped: int
    milliseconds: Counter[int] = field(default_factory=Counter)
    anomalous: int = 0
    unsure: int = 0
    unlike: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NOTES, 0))
    unreadable: int = 0
    first_unreadable: list[Unreadable] = field(default_factory=list)

    def __str__(self) -> str:
        _, *others = self.counts().items()
        words = [f"{counted(self.scored, 'image')} scored", *(f"{number} {name}" for name, number in others)]
        counts = ", ".join(words)
        return f"{counts}, median {self.median()} ms an image" if self.scored else counts

    @property
    def scored(self) -> int:
        """How many images have a score."""
        return self.milliseconds.total()

    def median(self) -> int:
        """Return the median milliseconds of an image."""
        passed = 0
        for value in sorted(self.milliseconds):
            passed += self.milliseconds[value]
            if 2 * passed >= self.scored:
                return value
        return 0

    def count(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        self.milliseconds[round(row["milliseconds"])] += 1
        self.anomalous += bool(row["is_anomalous"])
        self.unsure += bool(row["unsure"])
        for note in self.unlike:
            self.unlike[note] += bool(row[note])

    def count_unreadable(self, entry: Unreadable) -> None:
        """Count what could not be read."""
        self.unreadable += 1
        if len(self.first_unreadable) < NAMED:
            self.first_unreadable.append(entry)

    def counts(self) -> dict[str, int]:
        """Return the numbers by what they count."""
        return {
            "images scored": self.scored,
            "anomalous": self.anomalous,
            "unsure": self.unsure,
            "unreadable": self.unreadable,
            "skipped": self.skipped,
        }


@dataclass
class Run:
    """A run: every row is written to the tables at once, also that of what cannot be read; to the store a bit later.

    A run that was killed loses nothing: the next one finds the rows in the tables and stores them.
    """

    judge: Judge
    folder: Path
    store: VerdictStore | None
    wishes: Wishes
    outcome: Outcome
    stored_before: int = 0
    waiting: list[Verdict | Refused] = field(default_factory=list)

    def score(self, inputs: Inputs, *, heatmaps: bool, earlier: Earlier) -> None:
        """Score each image.

        Args:
            inputs: what to score; what was found unreadable and skipped is written, too.
            heatmaps: whether they are drawn.
            earlier: runs that were killed, whose rows need not be made again.
        """
        self.say_what_decides()
        self.start_tables(inputs, heatmaps=heatmaps)
        tasks = self.tasks(inputs, heatmaps=heatmaps, earlier=earlier)
        try:
            for task, reading in progress(ahead(self.read, tasks), total=len(inputs.images), label="images"):
                try:
                    row = task.known or self.judged(task, reading.result())
                except UserError as error:
                    self.note_unreadable(Unreadable(task.path, str(error).removeprefix(f"{task.path}: ")))
                    continue
                self.write(row)
        finally:
            self.store_waiting()
        self.end_tables()
        self.say_what_was_found(inputs)

    def tasks(self, inputs: Inputs, *, heatmaps: bool, earlier: Earlier) -> Iterator[Task]:
        """Yield what to do for each image."""
        names = heatmap_names(inputs.images) if heatmaps else None
        for path in inputs.images:
            heatmap = None if names is None else self.folder / HEATMAPS / next(names)
            yield Task(path, heatmap, earlier.take(path, heatmap))

    def read(self, task: Task) -> Reading | None:
        """Read the picture of a task; nothing where its row is known."""
        judge = self.judge
        return None if task.known else read_file(task.path, judge.grey_range, judge.calibration.files)

    def judged(self, task: Task, reading: Reading | None) -> dict[str, Any]:
        """Judge a picture, draw its heatmap and return its row.

        Raises:
            UserError: its score is no number.
        """
        assert reading is not None  # only a picture whose row is known is not read
        started = time.perf_counter()
        found = self.judge.judge(reading.pixels)
        seconds = reading.seconds + time.perf_counter() - started
        row = row_of(self.judge, str(task.path), reading, found, milliseconds=1000 * seconds, tags=self.wishes.tags)
        if task.heatmap is None:
            return row
        write_heatmap(task.heatmap, reading.pixels, found.anomaly_map, self.judge.calibration)
        return row | {"heatmap": f"{HEATMAPS}/{task.heatmap.name}"}

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row; that of JSON last, since by it a killed run is resumed."""
        append_row(self.folder / SCORES, row)
        append_line(self.folder / LINES, row)
        self.outcome.count(row)
        self.put_aside(verdict_of(row, self.judge.about, station=self.wishes.station, source=SOURCE))

    def note_unreadable(self, entry: Unreadable) -> None:
        """Count and write what could not be read."""
        self.outcome.count_unreadable(entry)
        append_row(self.folder / UNREADABLE, {"path": str(entry.path), "error": entry.error})
        name = as_text(str(entry.path))
        self.put_aside(Refused(name, "", as_text(entry.error), utc_now(), self.wishes.station, SOURCE))

    def put_aside(self, row: Verdict | Refused) -> None:
        """Keep a row for the store, which takes many at once."""
        self.waiting.append(row)
        if len(self.waiting) >= TOGETHER:
            self.store_waiting()

    def store_waiting(self) -> None:
        """Write to the store what waits for it."""
        if self.store is not None:
            self.stored_before += len(self.waiting) - self.store.write(self.waiting)
        self.waiting.clear()

    def start_tables(self, inputs: Inputs, *, heatmaps: bool) -> None:
        """Write what is known before the first image is read."""
        if heatmaps:
            (self.folder / HEATMAPS).mkdir()
        start_table(self.folder / UNREADABLE, ["path", "error"])
        start_table(self.folder / SKIPPED, ["path", "reason"])
        for entry in inputs.unreadable:
            self.note_unreadable(entry)
        for one in inputs.skipped:
            append_row(self.folder / SKIPPED, {"path": str(one.path), "reason": one.reason})

    def end_tables(self) -> None:
        """Make the tables of rows where no image has one: who reads them finds them, and none in them."""
        if not self.outcome.scored:
            start_table(self.folder / SCORES, PLAIN)
            (self.folder / LINES).touch()

    def say_what_decides(self) -> None:
        """Log the threshold."""
        threshold = self.judge.calibration.threshold
        LOG.info(
            "anomalous is a score above %.4g (false alarms: %.3g of normal images asked for, %.3g kept); rows go to %s",
            threshold.value, threshold.false_alarm_budget, threshold.attainable_false_alarm_rate, self.folder,
        )  # fmt: skip

    def say_what_was_found(self, inputs: Inputs) -> None:
        """Log what is unlike the training images, unreadable and skipped."""
        outcome = self.outcome
        if self.stored_before:
            LOG.info("%s found in the store already: each stays there as it was", counted(self.stored_before, "row"))
        for note, count in outcome.unlike.items():
            if count:
                LOG.warning(
                    "%s unlike the training images in %s, which may change scores: see %s in %s",
                    counted(count, "image"), NOTES[note], note, SCORES,
                )  # fmt: skip
        lines = [f"{entry.path}: {entry.error}" for entry in outcome.first_unreadable]
        for line in shortened(lines, outcome.unreadable):
            LOG.warning("unreadable: %s", line)
        if not outcome.scored:
            LOG.error("no image could be read: %s says why of each", UNREADABLE)
        skipped = [f"{entry.path} {entry.reason}" for entry in first_of(inputs.skipped)]
        for line in shortened(skipped, len(inputs.skipped)):
            LOG.info("skipped: %s", line)
