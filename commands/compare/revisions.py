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
EVALUATION, INTERVALS, SCORES = "evaluation", "intervals", "scores"  # below the folder of metrics, a file a category

Files = Mapping[str, Callable[[], str]]  # by POSIX path, each with what reads it


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
    """Read all evaluations below a folder by (category, method), sorted.

    Args:
        revision: a commit, branch, tag or DVC experiment, or WORKSPACE.
        folder: of the metrics, as a POSIX path.

    Raises:
        UserError: there is no such revision, no evaluation in it, or a file is damaged.
    """
    files = list_files(revision, folder)
    found = {}
    for path, read in files.items():
        if PurePosixPath(path).parent != PurePosixPath(folder, EVALUATION) or not path.endswith(".json"):
            continue
        category = PurePosixPath(path).stem
        intervals, scores = f"{folder}/{INTERVALS}/{category}.json", f"{folder}/{SCORES}/{category}.csv"
        own_intervals = parse_json(files[intervals](), where=f"{intervals} at {revision}") if intervals in files else {}
        own_scores = parse_tracked_scores(files[scores](), where=f"{scores} at {revision}") if scores in files else {}
        for method, metrics in parse_json(read(), where=f"{path} at {revision}").items():
            found[(category, method)] = Evaluated(metrics, own_intervals.get(method, {}), own_scores.get(method))
    if not found:
        refuse_old_layout(files, revision, folder)
        raise UserError(
            f"{revision}: no evaluation below {folder}/: name a commit that has some (`git log -- {folder}`), "
            "or run `dvc repro` and commit its metrics"
        )
    return dict(sorted(found.items()))


def refuse_old_layout(files: Files, revision: str, folder: str) -> None:
    """Say that a revision is too old, if its metrics lie by method: `folder`/<method>/<category>.json.

    Raises:
        UserError: they do.
    """
    for path, read in files.items():
        relative = PurePosixPath(path).relative_to(folder)
        if len(relative.parts) == 2 and relative.suffix == ".json" and '"image_auroc"' in read():
            raise UserError(
                f"{revision}: from before the new layout of metrics ({path} is now part of "
                f"{folder}/{EVALUATION}/{relative.stem}.json): compare revisions that have it"
            )


def list_files(revision: str, folder: str) -> Files:
    """List the files below the folder, sorted.

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
    """Parse a JSON object.

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
