"""The truth table: labels and masks. Only stages that judge scores may read it, never one that makes them.

The stage `labelled_pool` reads it too: it hands out the labels of images outside test, and nothing else.
"""

from pathlib import Path

import pandas as pd

from stages.core.io.tables import read_table, write_table

# image_id, file, split   as in the image table, but split is train, validation or test
# source_path     POSIX path of the image below the data set's root
# is_anomalous    bool
# kind            normal, logical, structural or unspecified
# defect_type     name of the defect's folder or column value; "good" for normal images
# mask_files      names of PNG files in the split stage's `masks/` folder, one a defect; empty where there are none
# sha256          of the image file
# width, height   pixels, after EXIF rotation
TRUTH_COLUMNS = (
    "image_id", "file", "split", "source_path", "is_anomalous", "kind", "defect_type", "mask_files", "sha256",
    "width", "height",
)  # fmt: skip
KINDS = ("normal", "logical", "structural", "unspecified")


def write_truth(path: Path, truth: pd.DataFrame) -> None:
    """Write one row an image (TRUTH_COLUMNS), sorted by image_id."""
    write_table(path, truth.sort_values("image_id"), columns=TRUTH_COLUMNS)


def read_truth(path: Path) -> pd.DataFrame:
    """Read the truth table, sorted by image_id."""
    return read_table(path, columns=TRUTH_COLUMNS)
