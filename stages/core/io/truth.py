"""The truth of a split: labels, masks, true components, data health. Stages that make scores never read it.

`evaluation` reads it, and `labelled_pool`, which hands out the labels of images outside test and nothing else.
"""

from pathlib import Path

import pandas as pd

from stages.core.io.tables import read_table, write_table

TRUTH_TABLE = "truth.parquet"
# image_id, file, split   as in the image table, but split is train, validation or test
# source_path     POSIX path of the image below the data set's root
# is_anomalous    bool
# kind            normal, logical, structural or unspecified
# defect_type     name of the defect's folder or column value; "good" for normal images
# mask_files      names of PNG files in `truth/masks/`, one a defect; empty where there are none
# sha256          of the image file
# width, height   pixels, after EXIF rotation
TRUTH_COLUMNS = (
    "image_id", "file", "split", "source_path", "is_anomalous", "kind", "defect_type", "mask_files", "sha256",
    "width", "height",
)  # fmt: skip
KINDS = ("normal", "logical", "structural", "unspecified")


def write_truth(folder: Path, truth: pd.DataFrame) -> None:
    """Write `folder`/truth.parquet: one row an image (TRUTH_COLUMNS), sorted by image_id."""
    write_table(folder / TRUTH_TABLE, truth.sort_values("image_id"), columns=TRUTH_COLUMNS)


def read_truth(folder: Path) -> pd.DataFrame:
    """Read the truth table of a split's `truth/`, sorted by image_id."""
    return read_table(folder / TRUTH_TABLE, columns=TRUTH_COLUMNS)


def mask_files(folder: Path) -> Path:
    """Return the folder of the masks that the truth table names."""
    return folder / "masks"


def component_files(folder: Path) -> Path:
    """Return the folder of true components: `<image_id>.png`, the class of every pixel; empty where there are none."""
    return folder / "components"


def health_file(folder: Path) -> Path:
    """Return the file of what was found about the data: duplicates, outliers, missing masks, as JSON."""
    return folder / "health.json"
