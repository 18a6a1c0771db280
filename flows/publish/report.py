"""Report a run: in words, as tables, pictures and links in Prefect, and as an event that automations can react to."""

import base64
import mimetypes
import re
import socket
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.events import emit_event

from flows.git.repository import COMMIT_PREFIX
from flows.publish.verdict import Comparison
from flows.schedule.loop import Report
from stages.core.run.errors import UserError

SUBJECT_CHARACTERS = 72
PICTURES = (".jpg", ".jpeg", ".png", ".svg", ".webp")
INLINE_BYTES = 400_000  # of a picture in Prefect's database
STEP = 0.7  # in width and height: half the pixels
SMALLEST = 64  # px; less shows nothing
QUALITY = 85  # of JPEG


class StagesFailed(UserError):
    """At least one stage failed; those that finished are recorded in dvc.lock."""


def rows_of(report: Report) -> list[dict[str, Any]]:
    """Return a row for each stage: its name, what became of it, seconds; then the stages that could not run."""
    rows = [
        {"stage": name, "state": result.state, "seconds": round(result.seconds, 1)}
        for name, result in report.results.items()
    ]
    return [*rows, *({"stage": name, "state": "skipped", "seconds": None} for name in report.skipped)]


def headline(report: Report) -> str:
    """Summarise a run: "12 stages ran, 1 failed (segmentation@pin_tray), 3 skipped"."""
    parts = [f"{len(report.ran)} stage{'' if len(report.ran) == 1 else 's'} ran"]
    if report.faults:
        parts.append(f"{len(report.faults)} failed ({', '.join(sorted(report.faults))})")
    if report.skipped:
        parts.append(f"{len(report.skipped)} skipped")
    return ", ".join(parts)


def raise_for_faults(report: Report) -> None:
    """Fail if a stage failed.

    Raises:
        StagesFailed: with the fault of each stage that failed, and what did not run because of it.
    """
    if report.faults:
        faults = [fault.message for _, fault in sorted(report.faults.items())]
        skipped = [f"not run, as they need it: {', '.join(report.skipped)}"] if report.skipped else []
        raise StagesFailed("\n".join([headline(report), *faults, *skipped, "a rerun starts with what remains"]))


def commit_message(report: Report) -> str:
    """Write a subject that counts the stages, and a body that lists them with their seconds and other remarks."""
    subject = f"{COMMIT_PREFIX}{headline(report)}"
    if len(subject) > SUBJECT_CHARACTERS:
        counts = f"{len(report.ran)} ran, {len(report.faults)} failed, {len(report.skipped)} skipped"
        subject = f"{COMMIT_PREFIX}{counts}"
    lines = [f"{row['stage']}: {row['state']}" + _seconds(row["seconds"]) for row in rows_of(report)]
    return "\n".join([subject, "", *report.remarks, *lines])


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f", {seconds:.1f} s"


def publish_stages(report: Report) -> None:
    """Publish a table with a row for each stage."""
    create_table_artifact(rows_of(report), key="stages", description=headline(report))


def publish_metrics(comparison: Comparison, verdict: str) -> None:
    """Publish the metrics in percent as a table, and the comparison as Markdown."""
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
    """Publish heatmap sheets and plots; those that cannot be shown are listed as `pictures-excluded`.

    Args:
        address: where the repository's files are served, with a slash at its end; None puts the pictures themselves
            into the artifact, large ones made smaller, which the page shows without any other server.

    Returns:
        The paths of the pictures shown.
    """
    shown, excluded = [], []
    for path in sorted(path for path in paths if path.endswith(PICTURES) and (clone / path).is_file()):
        url, remark = data_url(clone / path) if address is None else (f"{address}{path}", "")
        if url is None:
            excluded.append(f"- `{path}`: {remark}")
            continue
        create_image_artifact(image_url=url, key=artifact_key(path), description=f"{path}{remark and f', {remark}'}")
        shown.append(path)
    if excluded:
        text = "\n".join([f"Not shown here, but in `{clone}` on {socket.gethostname()}:", "", *excluded])
        create_markdown_artifact(text, key="pictures-excluded")
    return shown


def publish_links(clone: Path, commit: str, *, address: str | None) -> None:
    """Publish links to the report's page and the commit."""
    page = clone / "artifacts/report/index.html"
    if page.is_file():
        place = f"{page} on {socket.gethostname()}"
        how = (
            "Browsers open no file from a page of a server: copy the path into the address bar of one on that machine."
        )
        create_link_artifact(page.as_uri(), key="report", link_text=place, description=f"The report is {place}. {how}")
    if address is not None:
        create_link_artifact(f"{address}dvc.lock", key="lock", link_text=f"dvc.lock of {commit[:10]}")


def emit(event: str, clone: Path, **payload: Any) -> None:
    """Emit `oddpart.<event>` about this clone; automations can trigger on it."""
    resource = {"prefect.resource.id": f"oddpart.clone.{clone.name}", "prefect.resource.name": str(clone)}
    emit_event(event=f"oddpart.{event}", resource=resource, payload=payload)


def artifact_key(path: str) -> str:
    """Turn a path into one of Prefect's keys, which are lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", Path(path).with_suffix("").as_posix().lower()).strip("-")


def pictures_of(clone: Path, recorded: Iterable[str]) -> list[str]:
    """List the pictures among recorded files, and in recorded folders."""
    files: list[Path] = []
    for path in recorded:
        files += [clone / path] if not (clone / path).is_dir() else (clone / path).rglob("*")
    return sorted(file.relative_to(clone).as_posix() for file in files if file.name.endswith(PICTURES))


def data_url(path: Path, *, limit: int = INLINE_BYTES) -> tuple[str | None, str]:
    """Encode a picture as a data: address that holds it, made smaller where it has more than `limit` bytes.

    Returns:
        The address, or None if there is none; and a remark on its size.
    """
    content = path.read_bytes()
    if len(content) <= limit:
        return _url(content, mimetypes.guess_type(path.name)[0] or "application/octet-stream"), ""
    size = f"{len(content) / 1000:.0f} kB"
    try:
        with Image.open(path) as picture:
            smaller, width = _shrink(picture.convert("RGB"), limit)
    except (OSError, Image.DecompressionBombError) as error:
        return None, f"{size} are too large for the page, and cannot be made smaller ({error})"
    return _url(smaller, "image/jpeg"), f"made smaller: {width} px wide, from {size}"


def _shrink(picture: Image.Image, limit: int) -> tuple[bytes, int]:
    """Return a JPEG of at most so many bytes, and its width."""
    while True:
        output = BytesIO()
        picture.save(output, "JPEG", quality=QUALITY)
        if output.tell() <= limit or min(picture.size) <= SMALLEST:
            return output.getvalue(), picture.width
        picture = picture.resize((max(1, round(STEP * picture.width)), max(1, round(STEP * picture.height))))


def _url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 1)
