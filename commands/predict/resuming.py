"""Resume killed runs: their rows count where the same parts judge the same files, which did not change since."""

import csv
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.predict.marker import MARKER, read_marker
from commands.predict.results import HEATMAPS, SCORES, unfinished
from stages.core.run.console import harmless_cell

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfinished:
    """What one run left.

    Attributes:
        folder: of its results.
        started: when it began to judge; seconds since the epoch.
        rows: by the path of the picture, as in the table.
    """

    folder: Path
    started: float
    rows: Mapping[str, Mapping[str, str]]

    def take(self, path: Path, heatmap: Path) -> dict[str, str] | None:
        """Move the heatmap of a picture and return its row; None where it has to be judged again.

        Args:
            path: of the picture.
            heatmap: where its heatmap is to be.
        """
        row = self.rows.get(harmless_cell(str(path)))
        if row is None or row["heatmap"] != f"{HEATMAPS}/{heatmap.name}":
            return None
        try:
            facts = path.stat()
            if max(facts.st_mtime, facts.st_ctime) >= self.started:
                return None
            (self.folder / HEATMAPS / heatmap.name).rename(heatmap)
        except OSError:
            return None
        return dict(row)


@dataclass(frozen=True)
class Earlier:
    """What unfinished runs left, the newest first: one that was resumed and killed again has but a part of the rows."""

    runs: Sequence[Unfinished] = ()

    def take(self, path: Path, heatmap: Path) -> dict[str, str] | None:
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
        rows = {row["path"]: row for row in whole_rows(folder / SCORES)}
        if rows:
            LOG.info("going on from %s: its %d rows count where the pictures did not change since", folder, len(rows))
            found.append(Unfinished(folder, (folder / MARKER).stat().st_mtime, rows))
    return Earlier(tuple(found))


def whole_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table that are whole: a killed run may have written half of its last one."""
    try:
        text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    except OSError:
        return
    for row in csv.DictReader(text[: text.rfind("\n") + 1].splitlines(keepends=True)):
        if None not in row and None not in row.values():
            yield row
