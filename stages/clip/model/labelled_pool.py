"""A labelled pool: images outside test whose labels a method may learn from, with their files."""

import shutil
from pathlib import Path

import pandas as pd

from stages.core.io.tables import read_table, write_table
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress

# image_id, file   as in the image table
# is_anomalous     bool: a normal training image, or an anomaly that was set aside in validation
# mask_files       names of PNG files in the pool's `masks/` folder, one a defect; empty where there are none
POOL_COLUMNS = ("image_id", "file", "is_anomalous", "mask_files")


def write_labelled_pool(path: Path, pool: pd.DataFrame, *, images: Path, masks: Path) -> None:
    """Write `path`/pool.parquet, sorted by image_id, and copy the files it names to `path`/images and `path`/masks."""
    with replacing_folder(path) as folder:
        write_table(folder / "pool.parquet", pool.sort_values("image_id"), columns=POOL_COLUMNS)
        for name, source, files in (
            ("images", images, set(pool["file"])),
            ("masks", masks, {file for row in pool["mask_files"] for file in row}),
        ):
            (folder / name).mkdir()
            for file in progress(sorted(files), total=len(files), label=name):
                shutil.copyfile(source / file, folder / name / file)


def read_labelled_pool(path: Path) -> pd.DataFrame:
    """Read the table, sorted by image_id; the files are in `path`/images and `path`/masks."""
    return read_table(path / "pool.parquet", columns=POOL_COLUMNS)
