"""Read what git tracks of evaluations, as it is in the workspace or was at a revision; DVC's cache is not needed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from stages.core.run.errors import UserError
from stages.evaluation.outputs import parse_tracked_scores

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Evaluated:
    """What is kept of a method on a category.

    Attributes:
        metrics: as the evaluation wrote them.
        intervals: nested as the metrics; empty where there are none.
        scores: of the test images, indexed by image_id; None where they are not kept.
    """

    metrics: Mapping[str, Any]
    intervals: Mapping[str, Any]
    scores: pd.DataFrame | None


def read_revision(revision: str, folder: str) -> dict[tuple[str, str], Evaluated]:
    """All evaluations below a folder by (category, method), sorted.

    Args:
        revision: a commit, branch, tag or DVC experiment, or WORKSPACE.

    Raises:
        UserError: there is no such revision, no evaluation in it, or a file is damaged.
    """
    files = list_files(revision, folder)
    found = {}
    for path, read in files.items():
        relative = PurePosixPath(path).relative_to(folder)
        if len(relative.parts) != 2 or relative.suffix != ".json":
            continue
        metrics = parse_json(read(), where=f"{path} at {revision}")
        if "image_auroc" not in metrics:  # another stage's folder
            continue
        method, category = relative.parent.name, relative.stem
        intervals = files.get(f"{folder}/intervals/{method}/{category}.json")
        scores = files.get(f"{folder}/scores/{method}/{category}.csv")
        where = f"{folder}/.../{method}/{category} at {revision}"
        found[(category, method)] = Evaluated(
            metrics,
            parse_json(intervals(), where=where) if intervals else {},
            parse_tracked_scores(scores(), where=where) if scores else None,
        )
    if not found:
        raise UserError(f"{revision}: no evaluation below {folder}/: run `dvc repro` and commit its metrics")
    return dict(sorted(found.items()))


def list_files(revision: str, folder: str) -> dict[str, Callable[[], str]]:
    """Files below the folder by POSIX path, each with what reads it.

    Raises:
        UserError: the revision is not known, or this is no repository.
    """
    if revision == WORKSPACE:
        return {
            path.as_posix(): partial(path.read_text, encoding="utf-8")
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    try:
        system = DVCFileSystem(rev=revision)
        names = system.find(folder) if system.isdir(folder) else []
    except (DvcException, SCMError) as error:
        raise UserError(f"{revision!r} cannot be read: {error}: name a commit, branch, tag or experiment") from None
    return {name.lstrip("/"): partial(system.read_text, name) for name in sorted(names)}


def parse_json(text: str, *, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: it is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"{where}: not a JSON object")
    return value
