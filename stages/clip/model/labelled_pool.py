"""A labelled pool: images outside test whose labels a method may learn from, with their files."""

import shutil
from pathlib import Path, PurePosixPath

import pandas as pd

from stages.core.io.tables import read_table, write_table
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress

POOL_TABLE = "pool.parquet"
# image_id, file   as in the image table
# is_anomalous     bool: a normal training image, or an anomaly that was set aside in validation
# mask_files       names of PNG files in the pool's `masks/` folder, one a defect; empty where there are none
POOL_COLUMNS = ("image_id", "file", "is_anomalous", "mask_files")


def write_labelled_pool(path: Path, pool: pd.DataFrame, *, images: Path, masks: Path) -> None:
    """Write the table, sorted by image_id, and copy the files it names to `path`/images and `path`/masks.

    Args:
        path: folder of the pool.
        pool: POOL_COLUMNS.
        images: folder of the image files.
        masks: folder of the mask files.
    """
    with replacing_folder(path) as folder:
        write_table(folder / POOL_TABLE, pool.sort_values("image_id"), columns=POOL_COLUMNS)
        for name, source, files in (
            ("images", images, set(pool["file"])),
            ("masks", masks, {file for row in pool["mask_files"] for file in row}),
        ):
            (folder / name).mkdir()
            for file in progress(sorted(files), total=len(files), label=name):
                shutil.copyfile(source / file, folder / name / file)


def read_labelled_pool(path: Path) -> pd.DataFrame:
    """Read the table, sorted by image_id; the files are in `path`/images and `path`/masks."""
    return read_table(path / POOL_TABLE, columns=POOL_COLUMNS)


def have_content_of(files: pd.Series, others: pd.Series) -> pd.Series:
    """Report which files are byte for byte among the others: the split stage names files by their sha256."""
    return files.map(content).isin(set(others.map(content)))


def content(file: str) -> str:
    """Return the part of a file's name that stands for its content."""
    return PurePosixPath(file).stem
