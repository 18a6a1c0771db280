"""What a run shows in Prefect: tables, the comparison, pictures, links, and an event that automations can react to."""

import re
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.events import emit_event

from flows.comparison import Comparison
from flows.picture import data_url
from flows.schedule import Report
from flows.summary import headline, rows_of

PICTURES = (".jpg", ".jpeg", ".png", ".svg", ".webp")


def publish_stages(report: Report) -> None:
    """A row a stage."""
    create_table_artifact(rows_of(report), key="stages", description=headline(report))


def publish_metrics(comparison: Comparison, verdict: str) -> None:
    """The metrics in percent as a table, and the evaluation room's comparison as Markdown."""
    rows = [
        {
            "category": row.category, "method": row.method, "metric": f"{row.metric} {row.kind}".strip(),
            "old": _percent(row.old), "new": _percent(row.new), "difference": _percent(row.difference),
            "verdict": row.verdict,
        }
        for row in comparison.rows
    ]  # fmt: skip
    create_table_artifact(rows, key="metrics", description=f"in percent; {comparison.old} -> {comparison.new}")
    create_markdown_artifact(f"{verdict}\n\n{comparison.markdown}", key="comparison")


def publish_pictures(clone: Path, paths: Iterable[str], *, address: str | None) -> list[str]:
    """Heatmap sheets and plots that stages wrote below metrics/. What cannot be shown is listed as `pictures-left-out`.

    Args:
        address: where the repository's files are served, with a slash at its end; None puts the pictures themselves
            into the artifact, large ones made smaller, which the page shows without any other server.

    Returns:
        The paths of the pictures shown.
    """
    shown, left_out = [], []
    for path in sorted(path for path in paths if path.endswith(PICTURES) and (clone / path).is_file()):
        url, remark = data_url(clone / path) if address is None else (f"{address}{path}", "")
        if url is None:
            left_out.append(f"- `{path}`: {remark}")
            continue
        create_image_artifact(image_url=url, key=artifact_key(path), description=f"{path}{remark and f', {remark}'}")
        shown.append(path)
    if left_out:
        text = "\n".join([f"Not shown here, but in `{clone}` on {socket.gethostname()}:", "", *left_out])
        create_markdown_artifact(text, key="pictures-left-out")
    return shown


def publish_links(clone: Path, commit: str, *, address: str | None) -> None:
    """Where to read on: the report's page and the commit."""
    page = clone / "artifacts/report/index.html"
    if page.is_file():
        place = f"{page} on {socket.gethostname()}"
        how = (
            "Browsers open no file from a page of a server: copy the path into the address bar of one on that machine."
        )
        create_link_artifact(page.as_uri(), key="report", link_text=place, description=f"The report is {place}. {how}")
    if address is not None:
        create_link_artifact(f"{address}dvc.lock", key="lock", link_text=f"dvc.lock of {commit[:10]}")


def tell(event: str, clone: Path, **payload: Any) -> None:
    """Emit `oddpart.<event>` about this clone; automations can trigger on it."""
    resource = {"prefect.resource.id": f"oddpart.clone.{clone.name}", "prefect.resource.name": str(clone)}
    emit_event(event=f"oddpart.{event}", resource=resource, payload=payload)


def artifact_key(path: str) -> str:
    """Prefect's keys are lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", Path(path).with_suffix("").as_posix().lower()).strip("-")


def pictures_of(recorded: Sequence[str]) -> list[str]:
    return [path for path in recorded if path.endswith(PICTURES)]


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 1)
