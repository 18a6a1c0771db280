"""Resume killed runs: their rows count where the same parts judge the same files, which did not change since."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.predict.marker import MARKER, read_marker
from commands.predict.results import HEATMAPS, LINES, unfinished
from commands.verdicts.scratch import RowsByKey
from stages.core.runtime.calibration import counted

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfinished:
    """What one run left.

    Attributes:
        folder: of its results.
        started: when it began to judge; seconds since the epoch.
        rows: by the path of the picture.
    """

    folder: Path
    started: float
    rows: RowsByKey

    def take(self, path: Path, heatmap: Path | None) -> dict[str, Any] | None:
        """Take over the heatmap of a picture and return its row; None where it has to be judged again.

        The heatmap stays here, too: this run may be killed before it has written the row.

        Args:
            path: of the picture.
            heatmap: where its heatmap is to be; None where none is asked for.
        """
        row = self.rows.get(os.fsencode(path))
        if row is None or row["heatmap"] != (None if heatmap is None else f"{HEATMAPS}/{heatmap.name}"):
            return None
        try:
            facts = path.stat()
            if max(facts.st_mtime, facts.st_ctime) >= self.started:
                return None
            if heatmap is not None:
                link_or_copy(self.folder / HEATMAPS / heatmap.name, heatmap)
        except OSError:
            return None
        return row


def link_or_copy(source: Path, target: Path) -> None:
    """Make a file under a second name; a copy where the file system has no links.

    Raises:
        OSError: there is no such file, or it cannot be copied.
    """
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


@dataclass(frozen=True)
class Earlier:
    """What unfinished runs left, the newest first: one that was resumed and killed again has but a part of the rows."""

    runs: Sequence[Unfinished] = ()

    def take(self, path: Path, heatmap: Path | None) -> dict[str, Any] | None:
        """See `Unfinished.take`; of several rows the newest."""
        rows = (run.take(path, heatmap) for run in self.runs)
        return next((row for row in rows if row is not None), None)


def find_earlier(target: Path, current: Path, *, about: Mapping[str, Any]) -> Earlier:
    """Return the unfinished runs for the same results whose pictures the same parts judged.

    Args:
        target: the folder that the results become.
        current: the folder of this run.
        about: what identifies the judge.
    """
    wanted = json.loads(json.dumps(dict(about)))
    found = []
    for folder in unfinished(target):
        marker = read_marker(folder)
        if folder == current or marker is None or any(marker.get(key) != value for key, value in wanted.items()):
            continue
        rows = RowsByKey((os.fsencode(row["path"]), row) for row in whole_rows(folder / LINES))
        if len(rows):
            many = counted(len(rows), "row")
            LOG.info("going on from %s: of its %s each counts whose picture did not change since", folder, many)
            found.append(Unfinished(folder, (folder / MARKER).stat().st_mtime, rows))
    return Earlier(tuple(found))


def whole_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of JSON lines that are whole: a killed run may have written half of its last one."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
