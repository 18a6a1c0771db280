"""The comparison of two revisions' metrics, made by the evaluation room's command."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from flows.commands import checked
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class MetricRow:
    """One metric in both revisions, as a fraction; None where a revision has no value.

    Attributes:
        low, high: the interval of the difference.
        verdict: "gain" or "drop" (both significant and beyond the tolerance), "noise", "missing" or "added".
    """

    category: str
    method: str
    kind: str
    metric: str
    old: float | None
    new: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def name(self) -> str:
        return f"{self.category} {self.method} {self.metric} {self.kind}".strip()


@dataclass(frozen=True)
class Comparison:
    """What changed between two revisions, and the same as Markdown."""

    old: str
    new: str
    rows: tuple[MetricRow, ...]
    markdown: str


def compare(clone: Path, old: str, new: str, *, tolerance: float) -> Comparison:
    """Compare the metrics that git has of two revisions.

    Args:
        tolerance: percentage points; smaller differences are noise, significant or not.

    Raises:
        UserError: the command failed or printed something else than expected.
    """
    with tempfile.TemporaryDirectory(prefix="oddpart-") as folder:
        texts = {}
        for form in ("json", "markdown"):
            output = Path(folder) / form
            options = ["--format", form, "--output", str(output), "--tolerance", str(tolerance)]
            command = [sys.executable, "-m", "stages.evaluation.compare", old, new, *options]
            checked(command, folder=clone, doing=f"comparing {new} with {old}")
            texts[form] = output.read_text(encoding="utf-8")
    return Comparison(old, new, tuple(read_rows(texts["json"])), texts["markdown"])


def read_rows(text: str) -> Sequence[MetricRow]:
    """The rows of the command's JSON; keys that are not ours are left out.

    Raises:
        UserError: it has another form.
    """
    names = [field.name for field in fields(MetricRow)]
    try:
        return [MetricRow(**{name: row[name] for name in names}) for row in json.loads(text)["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"stages.evaluation.compare wrote JSON of another form ({error!r}): {text[:200]}") from None
