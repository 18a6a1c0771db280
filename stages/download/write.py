"""Write the chosen files into the data set's folder, all or none."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from stages.core.running.atomic import replacing_folder
from stages.core.running.console import progress
from stages.core.running.errors import UserError
from stages.download.fundus_crop import crop_folder
from stages.download.source_file import SourceFile


def write_dataset(dataset: Path, files: Sequence[SourceFile], *, crop_fundus: bool = False) -> None:
    """Copy the files byte by byte to `dataset`/<name>; the folder appears when the last one is whole.

    Args:
        crop_fundus: replaces the copied images by their crops, see `crop_folder`.

    Raises:
        UserError: the disk has too little room, or an image cannot be cropped.
    """
    needed, free = sum(file.size for file in files), shutil.disk_usage(dataset.parent).free
    if needed > free:
        raise UserError(f"{dataset} needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB left: make room")
    with replacing_folder(dataset) as folder:
        for file in progress(files, total=len(files), label=f"copy {dataset.name}"):
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open() as content, target.open("xb") as copy:
                shutil.copyfileobj(content, copy, 1 << 20)
        if crop_fundus:
            crop_folder(folder)
