"""What a check reports: a level, what it is about, and the remedy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from stages.core.run.console import printable
from stages.core.run.errors import UserError

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; `remedy` is empty where there is nothing to do, line breaks become spaces."""

    level: Level
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        text = self.what + (f": {self.remedy}" if self.remedy else "")
        return f"{self.level:<5} {printable(' '.join(line.strip() for line in text.splitlines()))}"


Check = Callable[[], Iterable[Finding]]


def guarded(check: Check) -> list[Finding]:
    """Return the findings of a check, and one more if it raises: a doctor that falls ill helps nobody.

    A UserError or a missing key is a fault of the files that were checked, so that it fails.
    """
    what = f"{check.__name__.removeprefix('check_').replace('_', ' ')} could not be checked"
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except UserError as error:
        findings.append(Finding("fail", str(error)))
    except KeyError as error:
        findings.append(Finding("fail", f"{what}: the key {error} is missing"))
    except Exception as error:
        findings.append(Finding("warn", f"{what} ({type(error).__name__}: {error})"))
    return findings
