"""What a check reports: a level, what it is about, and the remedy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; `remedy` is empty where there is nothing to do."""

    level: Level
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level:<5} {self.what}" + (f": {self.remedy}" if self.remedy else "")


Check = Callable[[], Iterable[Finding]]


def guarded(check: Check) -> list[Finding]:
    """The findings of a check; whatever goes wrong in it is a finding, too."""
    name = check.__name__.removeprefix("check_").replace("_", " ")
    try:
        return list(check())
    except Exception as error:  # a doctor that falls ill helps nobody
        return [Finding("warn", f"{name} could not be checked ({type(error).__name__}: {error})")]
