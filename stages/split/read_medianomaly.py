"""MedIAnomaly's layout for RSNA, VinDr-CXR, BrainTumor and LAG: a folder `images` and `data.json`.

`{"train": {"0": [...]}, "test": {"0": [...], "1": [...]}}` names files of `images`; 0 is normal, 1 anomalous. What else
stands below `train` (its `unlabeled` images of both kinds) is for methods that learn from anomalies, and is not used.
Cai et al., "MedIAnomaly: A comparative study of anomaly detection in medical images", 2024.
"""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.running.errors import UserError
from stages.split.records import Reading, Record

TABLE, IMAGES = "data.json", "images"
LABELS = {"0": "normal", "1": "unspecified"}
REQUIRED = {"train": ("0",), "test": ("0", "1")}


def read_medianomaly(root: Path) -> Reading:
    """Every image that the protocol names; unknown labels of test and bad names are findings.

    Raises:
        UserError: there is no table, no folder of images, or the table is not of the layout above.
    """
    table = read_table(root / TABLE)
    if not (root / IMAGES).is_dir():
        raise UserError(f"{root / IMAGES} is missing: {TABLE} names images in a folder of that name")
    records, findings = [], []
    for split, known in REQUIRED.items():
        for label in known:
            for name in table[split][label]:
                problem = name_problem(name)
                if problem:
                    findings.append(f"{TABLE}, {split}, {label}: {name!r} {problem}")
                else:
                    records.append(medianomaly_record(name, split=split, label=label))
    findings += [
        f"{TABLE}, test: the label {label!r} is unknown, there are 0 (normal) and 1 (anomalous)"
        for label in sorted(table["test"].keys() - LABELS.keys())
    ]
    files = {path.relative_to(root).as_posix() for path in (root / IMAGES).rglob("*") if path.is_file()}
    unnamed = sorted(files - {record.path for record in records})
    return Reading(tuple(records), tuple(findings), notes=tuple(notes(table, unnamed)))


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """`data.json` once it has the lists that the protocol needs.

    Raises:
        UserError: see `read_medianomaly`.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: a medianomaly source has a table of that name") from None
    except ValueError as error:
        raise UserError(f"{path}: is not a JSON file ({error})") from None
    for split, labels in REQUIRED.items():
        for label in labels:
            part = table.get(split) if isinstance(table, dict) else None
            if not isinstance(part, dict) or not isinstance(part.get(label), list):
                raise UserError(f'{path}: has no list of file names at "{split}", "{label}"')
    return dict(table)


def name_problem(name: Any) -> str | None:
    """Why an entry names no image, None where it does."""
    if not isinstance(name, str) or not name:
        return "is no file name"
    path = PurePosixPath(name)
    return f"leads out of {IMAGES}" if path.is_absolute() or ".." in path.parts else None


def medianomaly_record(name: str, *, split: str, label: str) -> Record:
    path = (PurePosixPath(IMAGES) / name).as_posix()
    return Record(path, LABELS[label], "good" if label == "0" else "anomalous", split)


def notes(table: dict[str, dict[str, Any]], unnamed: list[str]) -> Iterable[str]:
    """What of the source is not used."""
    unused = [f"train, {label}" for label in table["train"] if label not in REQUIRED["train"]]
    unused += [split for split in table if split not in REQUIRED]
    if unused:
        yield f"{TABLE}: not used: {'; '.join(sorted(unused))}"
    if unnamed:
        yield f"{len(unnamed)} files of {IMAGES} are not used, e.g. {unnamed[0]}"
