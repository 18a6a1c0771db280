"""The lines of a comparison, and their JSON: what `oddpart compare` writes and scheduled runs read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from stages.core.run.errors import UserError


@dataclass(frozen=True)
class MetricRow:
    """One metric in two revisions, as a fraction; None where a revision has no value or nothing can be compared.

    Attributes:
        low, high: the interval of new - old.
        verdict: gain, drop (both significant and beyond the tolerance), noise, missing (was there, is gone) or added.
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
        """Category, method, metric and kind in words."""
        return f"{self.category} {self.method} {self.metric} {self.kind}".strip()


def as_json(old: str, new: str, rows: Sequence[MetricRow]) -> str:
    """Write fractions, not percent; what is not there is null."""
    return json.dumps({"old": old, "new": new, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"


def read_rows(text: str) -> list[MetricRow]:
    """Read the rows that `as_json` wrote, also in another version; keys that are not ours are ignored.

    Raises:
        UserError: it has another form.
    """
    names = [field.name for field in fields(MetricRow)]
    try:
        return [MetricRow(**{name: row[name] for name in names}) for row in json.loads(text)["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"`oddpart compare` wrote JSON of another form ({error!r}): {text[:200]}") from None
