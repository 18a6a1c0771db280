"""Tables with a checked set of columns, and the inputs of a split: what a method may know of a data set.

A split's `inputs/` holds the image table, which carries no labels of test images, and the image files.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
IMAGE_TABLE = "images.parquet"
# image_id  POSIX path below the data set's root, without suffix; unique
# file      name of the image file in `inputs/images/`; says nothing of the label
# split     train: normal images to learn from; validation: normal images to calibrate on;
#           validation_anomalous: labelled anomalies set aside for a second threshold; test;
#           synthetic: copies of normal validation images with a defect of our making, to judge branches without labels
# fold      only where validation rotates, see `stages.core.io.rotation`
IMAGE_COLUMNS = ("image_id", "file", "split")
SYNTHETIC = "synthetic"
SPLITS = ("train", "validation", "validation_anomalous", "test", SYNTHETIC)
MOST_TRAINED = 1000  # training images of a method that holds them all in memory; more repeat what these show


def write_table(path: Path, table: pd.DataFrame, *, columns: Sequence[str]) -> None:
    """Write a table whose first columns are `columns`, in that order; image_id is the unique key.

    Raises:
        ValueError: a column is missing or out of place, or an image_id occurs twice.
    """
    if list(table.columns[: len(columns)]) != list(columns):
        raise ValueError(f"{path}: columns {list(table.columns)} do not begin with {list(columns)}")
    if table["image_id"].duplicated().any():
        raise ValueError(f"{path}: image_id occurs twice: {table['image_id'][table['image_id'].duplicated()].iloc[0]}")
    with replacing_file(path) as temporary:
        table.reset_index(drop=True).to_parquet(temporary)


def read_table(path: Path, *, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table written by `write_table`.

    Raises:
        UserError: the file is missing, is not a Parquet table or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: correct the name, or run `dvc repro` to make it") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable Parquet table ({error}): delete it and run `dvc repro`") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UserError(f"{path}: the column {missing[0]!r} is missing: run `dvc repro`")
    return table


def write_images(inputs: Path, images: pd.DataFrame) -> None:
    """Write `inputs`/images.parquet: one row an image (IMAGE_COLUMNS), sorted by image_id."""
    write_table(inputs / IMAGE_TABLE, images.sort_values("image_id"), columns=IMAGE_COLUMNS)


def read_images(inputs: Path, *, most_training: int | None = None) -> pd.DataFrame:
    """Read the image table of a split's `inputs/`, sorted by image_id.

    Args:
        inputs: of a split.
        most_training: of more rows of split "train" so many are kept, evenly spread; None: all.
    """
    images = read_table(inputs / IMAGE_TABLE, columns=IMAGE_COLUMNS)
    train = np.flatnonzero((images["split"] == "train").to_numpy())
    if most_training is None or len(train) <= most_training:
        return images
    kept = np.ones(len(images), dtype=bool)
    kept[train] = False
    kept[train[np.linspace(0, len(train) - 1, most_training).round().astype(np.int64)]] = True
    LOG.info("%d of %d training images are learned from", most_training, len(train))
    return images[kept].reset_index(drop=True)


def image_files(inputs: Path) -> Path:
    """Return the folder of the files that the image table names."""
    return inputs / "images"
