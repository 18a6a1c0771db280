"""Find data that an installed Python package carries, without importing the package.

ELPV: of its solar cells, those of one kind.
"""

import csv
import hashlib
import importlib.metadata
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stages.core.run.errors import UserError
from stages.download.manifest import PackageManifest
from stages.download.source_files import SourceFile

LABELS = "labels.csv"
FIELDS = 3  # path, defect probability, kind; divided by blanks, no header


def find_package_data(manifest: PackageManifest) -> Path:
    """The package's data folder, once its version and its table of labels are what the manifest says.

    Raises:
        UserError: the package is missing or of another version, or its labels differ.
    """
    install = f"run `pip install {manifest.package}=={manifest.version}`"
    try:
        distribution = importlib.metadata.distribution(manifest.package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the package {manifest.package} is not installed: {install}") from None
    if distribution.version != manifest.version:
        raise UserError(
            f"{manifest.package} {distribution.version} is installed, the manifest names {manifest.version}: {install}"
        )
    folder = Path(str(distribution.locate_file(manifest.folder)))
    labels = folder / manifest.labels
    if not labels.is_file():
        raise UserError(f"{labels} is missing: {install} --force-reinstall")
    content = labels.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.labels_sha256 or len(content.splitlines()) != manifest.images:
        raise UserError(
            f"{labels} is not the file the manifest names (sha256 or rows differ): {install} --force-reinstall"
        )
    return folder


def only_kind(files: Sequence[SourceFile], kind: str) -> list[SourceFile]:
    """The images of one kind, and in place of ELPV's table one with their rows only: `filename,probability,type`.

    Raises:
        UserError: the table is missing or not ELPV's, or an image that it names is missing.
    """
    by_name = {file.name: file for file in files}
    if LABELS not in by_name:
        raise UserError(f"ELPV's {LABELS} is missing")
    with by_name[LABELS].open() as content:
        rows = [line.split() for line in content.read().decode("utf-8").splitlines() if line.strip()]
    wrong = [f"line {i}: {' '.join(row)}" for i, row in enumerate(rows, start=1) if len(row) != FIELDS]
    missing = [row[0] for row in rows if len(row) == FIELDS and row[0] not in by_name]
    if wrong or missing:
        raise UserError("ELPV's files are not whole:\n  - " + "\n  - ".join([*wrong, *missing]))
    chosen = sorted(row for row in rows if row[2] == kind)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("filename", "probability", "type"), *chosen])
    table = text.getvalue().encode()
    return [SourceFile(LABELS, len(table), partial(io.BytesIO, table)), *(by_name[row[0]] for row in chosen)]
