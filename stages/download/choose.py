"""Choose from a folder or an archive the files of one category."""

import csv
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

from stages.core.run.errors import UserError
from stages.download.source_files import SourceFile, is_stray

ELPV_LABELS = "labels.csv"
ELPV_FIELDS = 3  # path, defect probability, kind; divided by blanks, no header
LOG = logging.getLogger(__name__)

# what is at the top of one category's folder, by source
MARKERS = {
    "sample": "train",
    "mvtec_loco": "train",
    "mvtec": "train",
    "folder": "images/good",
    "csv": "labels.csv",
    "elpv": "labels.csv",
    "medianomaly": "data.json",
    "brats": "train",
    "camelyon16": "train",
    "oct2017": "train/NORMAL",
    "aptos2019": "train.csv",
    "br35h": "no",
    "isic2018": "ISIC2018_Task3_Training_Input",
}
# what a source's protocol never uses and is not worth the space
UNUSED = {"oct2017": ("train/CNV/", "train/DME/", "train/DRUSEN/", "val/"), "aptos2019": ("test_images/",)}


def choose_files(
    files: Sequence[SourceFile], *, source: str, key: str, subfolder: str | None, elpv_kind: str | None
) -> list[SourceFile]:
    """Return the files below the category's folder, with names relative to it.

    Stray files, and those that the source's protocol never uses, are excluded and counted.

    Args:
        files: of the folder or archive.
        source: of the category.
        key: the category's name in params.yaml.
        subfolder: the category's folder, where it is named.
        elpv_kind: of ELPV, the kind of solar cell; None for every other source.

    Raises:
        UserError: the category's folder is not there or not clear.
    """
    wanted = [file for file in files if not is_stray(file.name)]
    strays = [file.name for file in files if is_stray(file.name)]
    if strays:
        LOG.info(
            "%d stray files ignored (%s)", len(strays), ", ".join(sorted({PurePosixPath(s).name for s in strays})[:5])
        )
    root = category_root([file.name for file in wanted], marker=MARKERS[source], key=key, subfolder=subfolder)
    prefix = f"{root}/" if root else ""
    inside = [replace(file, name=file.name[len(prefix) :]) for file in wanted if file.name.startswith(prefix)]
    chosen = [file for file in inside if not file.name.startswith(UNUSED.get(source, ()))]
    if len(chosen) < len(inside):
        LOG.info("%d files not copied (%s)", len(inside) - len(chosen), ", ".join(UNUSED[source]))
    return chosen if elpv_kind is None else only_kind(chosen, elpv_kind)


def only_kind(files: Sequence[SourceFile], kind: str) -> list[SourceFile]:
    """Return ELPV's images of one kind, and instead of its table one with their rows: `filename,probability,type`.

    Raises:
        UserError: the table is missing or not ELPV's, or an image that it names is missing.
    """
    by_name = {file.name: file for file in files}
    if ELPV_LABELS not in by_name:
        raise UserError(f"ELPV's {ELPV_LABELS} is missing")
    with by_name[ELPV_LABELS].open() as content:
        lines = content.read().decode("utf-8", errors="replace").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    wrong = [f"line {i}: {' '.join(row)}" for i, row in enumerate(rows, start=1) if len(row) != ELPV_FIELDS]
    missing = [row[0] for row in rows if len(row) == ELPV_FIELDS and row[0] not in by_name]
    if wrong or missing:
        raise UserError("ELPV's files are not whole:\n  - " + "\n  - ".join([*wrong, *missing]))
    chosen = sorted(row for row in rows if row[2] == kind)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("filename", "probability", "type"), *chosen])
    table = text.getvalue().encode()
    return [SourceFile(ELPV_LABELS, len(table), partial(io.BytesIO, table)), *(by_name[row[0]] for row in chosen)]


def category_root(names: Sequence[str], *, marker: str, key: str, subfolder: str | None) -> str:
    """Find the category's folder among the names of all files, "" for the top.

    It is `subfolder` where given, else the folder called like the category that holds `marker`, else the only
    folder at its depth that holds it.

    Raises:
        UserError: none or several come into question; they are listed.
    """
    holders = sorted({folder for name in names for folder in folders_holding(name, marker)})
    if subfolder is not None:
        if subfolder.strip("/") in holders:
            return subfolder.strip("/")
        raise UserError(f"no folder {subfolder!r} that holds {marker!r}; there are: {listing(holders)}")
    named = [folder for folder in holders if PurePosixPath(folder).name == key]
    candidates = shallowest(named) or shallowest(holders)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise UserError(
            f"no folder holds {marker!r}, which a source of this kind has; there are: {listing(tops(names))}"
        )
    raise UserError(f"categories.{key}: several folders are possible, name one as `subfolder`: {listing(candidates)}")


def folders_holding(name: str, marker: str) -> list[str]:
    """List every folder F for which `name` is F/marker or below it; "" is the top."""
    path, length = PurePosixPath(name), len(PurePosixPath(marker).parts)
    wanted = PurePosixPath(marker).parts
    starts = [i for i in range(len(path.parts) - length + 1) if path.parts[i : i + length] == wanted]
    return ["/".join(path.parts[:i]) for i in starts]


def shallowest(folders: Sequence[str]) -> list[str]:
    """Return the folders of the least depth."""
    depths = [len(PurePosixPath(folder).parts) for folder in folders]
    return [folder for folder, depth in zip(folders, depths, strict=True) if depth == min(depths)]


def tops(names: Iterable[str]) -> list[str]:
    """List the files and folders at the top."""
    return sorted({PurePosixPath(name).parts[0] for name in names})


def listing(names: Sequence[str]) -> str:
    """Join the first names for a message."""
    shown = ", ".join(repr(name) for name in names[:20]) or "none"
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
