"""The image table: what a method may know of a data set. It carries no labels of test images."""

from pathlib import Path

import pandas as pd

from stages.core.artifacts.tables import read_table, write_table

# image_id  POSIX path below the data set's root, without suffix; unique
# file      name of the image file in the split room's `images/` folder; says nothing of the label
# split     train: normal images to learn from; validation: normal images to calibrate on;
#           validation_anomalous: labelled anomalies set aside for a second threshold; test;
#           planted: copies of normal validation images with a defect of our making, to judge branches without labels
IMAGE_COLUMNS = ("image_id", "file", "split")
PLANTED = "planted"
SPLITS = ("train", "validation", "validation_anomalous", "test", PLANTED)


def write_images(path: Path, images: pd.DataFrame) -> None:
    """Write one row an image (IMAGE_COLUMNS), sorted by image_id."""
    write_table(path, images.sort_values("image_id"), columns=IMAGE_COLUMNS)


def read_images(path: Path) -> pd.DataFrame:
    """Read the image table, sorted by image_id."""
    return read_table(path, columns=IMAGE_COLUMNS)
