"""The scores of all branches beside each other."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path

import pandas as pd

from stages.core.artifacts.tables import read_table
from stages.core.errors import UserError

KEYS = ["image_id", "split"]
NEIGHBOURS = "neighbours"


def read_branches(*, histogram: Path, student_teacher: Path, neighbours: Path) -> dict[str, pd.DataFrame]:
    """The tables of the branches, without training images; the neighbours' score is called after its branch.

    Raises:
        UserError: a file is missing or lacks a column.
    """
    nearest = read_table(neighbours, columns=[*KEYS, "score"])[[*KEYS, "score"]]
    return {
        "histogram": read_table(histogram, columns=KEYS).query("split != 'train'"),
        "student_teacher": read_table(student_teacher, columns=[*KEYS, "student_teacher"]),
        NEIGHBOURS: nearest.rename(columns={"score": NEIGHBOURS}),
    }


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
