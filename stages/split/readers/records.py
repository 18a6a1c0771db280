"""The common form of a data set before it is split, and what its readers share: folders, tables of labels."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from stages.core.run.errors import UserError
from stages.core.runtime.reading import IMAGE_SUFFIXES

LONGEST_LINE = 10_000  # letters
OTHER_SEPARATORS = (";", "\t", "|")


@dataclass(frozen=True)
class Record:
    """One image as its source describes it.

    Attributes:
        path: POSIX path below the data set's root.
        kind: normal, logical, structural or unspecified.
        defect_type: "good" for normal images.
        split: train, validation or test; None where the source brings none.
        mask_paths: POSIX paths below the data set's root, one a defect.
    """

    path: str
    kind: str
    defect_type: str
    split: str | None = None
    mask_paths: tuple[str, ...] = ()

    @property
    def image_id(self) -> str:
        """The path without the suffix of an image."""
        return without_suffix(self.path)

    @property
    def is_anomalous(self) -> bool:
        """Whether the image is not normal."""
        return self.kind != "normal"


@dataclass(frozen=True)
class Reading:
    """What a reader found.

    Attributes:
        findings: errors in the source, one line each, with the file's name.
        notes: what the user should know but is no error.
        excluded: images that the source's own labels call neither normal nor anomalous.
        defect_names: the defect that each pixel value of a mask stands for; empty where masks only mark yes or no.
    """

    records: tuple[Record, ...]
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    excluded: int = 0
    defect_names: Mapping[int, str] = field(default_factory=dict)


def without_suffix(path: str) -> str:
    """Remove the suffix of an image from a POSIX path; other dots are part of the name, as in DICOM's 1.2.840.10008."""
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else path


def subfolders(folder: Path) -> list[str]:
    """List the names of the folders in `folder`, sorted; none when it does not exist."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def files_in(root: Path, folder: str) -> tuple[list[str], list[str]]:
    """List the files directly in a folder.

    Args:
        root: of the data set.
        folder: POSIX path below `root`.

    Returns:
        Their POSIX paths below `root`, sorted, and a finding for each folder among them.
    """
    if not (root / folder).is_dir():
        return [], []
    names = sorted(path.name for path in (root / folder).iterdir())
    files = [f"{folder}/{name}" for name in names if (root / folder / name).is_file()]
    findings = [
        f"{folder}/{name}: is a folder where images are expected" for name in names if f"{folder}/{name}" not in files
    ]
    return files, findings


def image_files(root: Path) -> list[str]:
    """List the files below a folder that are called like images, as POSIX paths below it, sorted."""
    found = (path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in found)


def unused_notes(root: Path, read: Sequence[str], *, named: Sequence[str]) -> tuple[str, ...]:
    """Note image files that lie in none of the folders that are read, as in one called Masks.

    Args:
        root: of the data set.
        read: folders below it.
        named: those that the note names.
    """
    unused = [name for name in image_files(root) if not name.startswith(tuple(f"{folder}/" for folder in read))]
    if not unused:
        return ()
    where = f"{', '.join(named[:-1])} or {named[-1]}"
    return (f"{len(unused)} image files are not used, as they are not in {where}, e.g. {unused[0]}",)


def masks_without_image(root: Path, folder: str, used: Collection[str]) -> list[str]:
    """Return a finding for each file below the folder of masks that no image uses."""
    masks = sorted(path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if path.is_file())
    return [f"{mask}: is a mask without an image: remove it or add its image" for mask in masks if mask not in used]


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: of the file where it stands, from 1.
        values: by column; missing ones are "".
        problem: that it has too few or too many values, so that some may be in the wrong column; None where it has not.
    """

    line: int
    values: Mapping[str, str]
    problem: str | None


def read_label_table(path: Path, required: Sequence[str]) -> tuple[list[str], list[Row]]:
    """Read the column names and the rows of a CSV file, without blanks around values and without empty lines.

    Raises:
        UserError: the file is missing, not UTF-8 text, lacks a required column, has columns of no or of equal names, or
            a quotation mark that is not closed on its line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the data set's labels are in a table of that name") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a comma-separated table in UTF-8 ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    table = [(number, values_of(line, number, path)) for number, line in enumerate(lines, start=1) if line.strip()]
    columns = table[0][1] if table else []
    refuse_columns(path, columns, required)
    return columns, [make_row(number, columns, values) for number, values in table[1:]]


def make_row(number: int, columns: Sequence[str], values: Sequence[str]) -> Row:
    """Give the values of a line to their columns."""
    wrong = len(values) != len(columns)
    problem = f"has {len(values)} values, the table has {len(columns)} columns: add or remove commas" if wrong else None
    return Row(number, dict(zip_longest(columns, values[: len(columns)], fillvalue="")), problem)


def values_of(line: str, number: int, path: Path) -> list[str]:
    """Split a line at its commas.

    Raises:
        UserError: a quotation mark is not closed on the line, or is followed by more than a comma.
    """
    if len(line) > LONGEST_LINE:
        raise UserError(f"{path}, line {number}: is longer than {LONGEST_LINE} letters: is a line break missing?")
    try:
        (values,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise UserError(
            f"{path}, line {number}, column {wrong_column(line)}: quotation marks are not in pairs around a value "
            f"({error}): correct the line"
        ) from None
    return [value.strip() for value in values]


def wrong_column(line: str) -> int:
    """Return the number of the column in which quotation marks are not in pairs, from 1."""
    for end in range(1, len(line) + 1):
        try:
            next(csv.reader([line[:end]], strict=True))
        except csv.Error as error:
            if "unexpected end" not in str(error):  # which only says that a value goes on
                return len(next(csv.reader([line[:end]])))
    return len(next(csv.reader([line])))


def refuse_columns(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    """Raise UserError for columns without a name, of equal names, of unseen characters, not separated, or missing."""
    unnamed = [str(number) for number, name in enumerate(columns, start=1) if not name]
    if unnamed:
        raise UserError(f"{path}, line 1, column {', '.join(unnamed)}: has no name: name the column or remove it")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        places = [str(number) for number, name in enumerate(columns, start=1) if name == twice[0]]
        raise UserError(f"{path}, line 1, columns {', '.join(places)}: are all called {twice[0]!r}: keep one")
    for name in required:
        alike = [column for column in columns if column.casefold() == name.casefold()]
        if len(alike) > 1:
            named = ", ".join(map(repr, alike))
            raise UserError(f"{path}, line 1: the columns {named} differ by capital letters only: keep one")
    missing = [name for name in required if name not in columns]
    if missing and len(columns) == 1 and any(mark in columns[0] for mark in OTHER_SEPARATORS):
        raise UserError(
            f"{path}: the column {missing[0]!r} is missing; there are: {columns[0]}: separate the columns by commas"
        )
    for number, name in enumerate(columns, start=1):
        if not name.isprintable():
            raise UserError(
                f"{path}, line 1, column {number}: the name {name!r} holds a character that is not seen: write it again"
            )
    if missing:
        raise UserError(f"{path}: the column {missing[0]!r} is missing; there are: {', '.join(columns) or 'none'}")
