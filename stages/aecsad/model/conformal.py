"""Weights that the place of a new image among the validation images must not depend on, as a file of the histograms.

See `stages.core.runtime.conformal`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from stages.core.io.rotation import calibrates
from stages.core.io.tables import read_table, write_table
from stages.core.run.errors import UserError

JACKKNIFE = "jackknife.parquet"
AUROC = "_edit_auroc"  # after a column's name
LARGEST = 200  # validation images; with more, one of them moves no weight by what could be seen


def write_jackknife(folder: Path, image_ids: Sequence[str], weights: pd.DataFrame) -> None:
    """Write the weights of histogram columns without one validation image.

    Args:
        folder: of the histogram stage.
        image_ids: of normal validation images and, where validation rotates, of training images held out in turns.
        weights: a row for each; of each column its weight, and under its name and AUROC what it sees of edits.
    """
    table = weights.reset_index(drop=True)
    table.insert(0, "image_id", list(image_ids))
    write_table(folder / JACKKNIFE, table, columns=["image_id"])


def read_jackknife(folder: Path, scores: pd.DataFrame) -> pd.DataFrame | None:
    """Read what `write_jackknife` wrote, by image_id in the order of the calibrating images among `scores`.

    Returns:
        None where there are more than LARGEST.

    Raises:
        UserError: the file is missing or damaged, or is of other images.
    """
    image_ids = scores["image_id"][calibrates(scores["split"])].to_list()
    if len(image_ids) > LARGEST:
        return None
    table = read_table(folder / JACKKNIFE, columns=["image_id"]).set_index("image_id")
    if set(table.index) != set(image_ids):
        raise UserError(f"{folder / JACKKNIFE}: is of other validation images than the scores: run `dvc repro`")
    return table.loc[image_ids]
