"""Verdicts on pictures that waited in a drop folder, stored together: they share one wait for the disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from commands.predict.dropping import DONE, GIVEN_UP
from commands.verdicts.verdict import Refused, Verdict

TOGETHER = 32  # verdicts at most
WAITS = 0.2  # seconds after which they are stored, though not before the picture is judged that is being judged


@dataclass(frozen=True)
class Found:
    """A file to judge.

    Attributes:
        name: its path in the drop folder.
        claimed: whether it is in `.judging` already.
    """

    name: str
    claimed: bool = False


@dataclass(frozen=True)
class Judged:
    """A file that was judged or given up, and is neither stored nor moved yet.

    Attributes:
        one: the file.
        row: what is stored.
        said: the verdict in words.
    """

    one: Found
    row: Verdict | Refused
    said: str

    @property
    def place(self) -> str:
        """The folder to which the file goes."""
        return DONE if isinstance(self.row, Verdict) else GIVEN_UP


@dataclass
class Burst:
    """Files that were judged one after another and wait to be stored."""

    waiting: list[Judged] = field(default_factory=list)
    since: float = 0.0

    def put(self, judged: Judged) -> None:
        """Add a file."""
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting.append(judged)

    def is_due(self) -> bool:
        """Whether what waits is to be stored before another picture is judged."""
        return len(self.waiting) >= TOGETHER or time.monotonic() - self.since > WAITS

    def take(self) -> list[Judged]:
        """Return what waits, and begin with nothing."""
        taken, self.waiting = self.waiting, []
        return taken
