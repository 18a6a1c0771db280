"""The scores and maps of all branches beside each other."""

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path

import pandas as pd

from stages.core.artifacts.anomaly_maps import AnomalyMaps, read_anomaly_maps
from stages.core.artifacts.tables import read_table
from stages.core.neighbours.scoring import Result
from stages.core.running.errors import UserError

KEYS = ["image_id", "split"]
HISTOGRAM = "histogram"
STUDENT_TEACHER = "student_teacher"
NEIGHBOURS = "neighbours"
FINE_NEIGHBOURS = "fine_neighbours"


def read_branches(
    *, histogram: Path, student_teacher: Path, neighbours: Path, fine: Result | None
) -> dict[str, pd.DataFrame]:
    """The tables of the branches, without training images; a neighbours' score is called after its branch.

    Args:
        neighbours: the folder of that method's result.
        fine: of the branch at a higher resolution, None without it.

    Raises:
        UserError: a file is missing or lacks a column.
    """
    nearest = read_table(neighbours / "scores.parquet", columns=[*KEYS, "score"])[[*KEYS, "score"]]
    students = [*KEYS, STUDENT_TEACHER]
    branches = {
        HISTOGRAM: read_table(histogram, columns=KEYS).query("split != 'train'"),
        STUDENT_TEACHER: read_table(student_teacher, columns=students)[students],
        NEIGHBOURS: nearest.rename(columns={"score": NEIGHBOURS}),
    }
    if fine is not None:
        branches[FINE_NEIGHBOURS] = fine.scores.rename(columns={"score": FINE_NEIGHBOURS})
    return branches


def read_maps(*, student_teacher: Path, neighbours: Path, fine: Result | None) -> dict[str, AnomalyMaps]:
    """The maps of the branches that make some.

    Raises:
        UserError: a file is missing or damaged.
    """
    maps = {STUDENT_TEACHER: read_anomaly_maps(student_teacher), NEIGHBOURS: read_anomaly_maps(neighbours / "maps")}
    if fine is not None:
        maps[FINE_NEIGHBOURS] = AnomalyMaps(tuple(fine.scores["image_id"]), fine.maps)
    return maps


def columns_of_branches(scores: pd.DataFrame, histogram: Iterable[str]) -> dict[str, list[str]]:
    """The columns of each branch: `histogram` names those of the histograms, every other one is a branch by itself."""
    together = sorted(histogram)
    return {HISTOGRAM: together, **{name: [name] for name in scores.columns if name not in [*KEYS, *together]}}


def join_branches(branches: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an image with the columns of all branches, sorted by image_id.

    Raises:
        UserError: the tables are not of the same images.
    """
    joined = reduce(lambda left, right: left.merge(right, on=KEYS, validate="one_to_one"), branches.values())
    for name, table in branches.items():
        if len(table) != len(joined):
            raise UserError(
                f"{len(table)} images have a score of the branch {name}, {len(joined)} one of every branch: "
                "run `dvc repro`"
            )
    return joined.sort_values("image_id").reset_index(drop=True)
