"""Open whatever a category's `path` names as a list of files, and write the chosen ones into the data set's folder."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.download.archives import open_archive
from stages.download.fundus_crop import crop_folder
from stages.download.manifest import PackageManifest, fetch, find_package_data, read_manifest
from stages.download.source_files import SourceFile, folder_files

DOWNLOADS = Path("work/downloads")  # ignored by git; no output of the stage, so that a change of params keeps it


def locate(path: Path) -> Path:
    """Return the archive or folder itself: a JSON manifest is followed, which may mean a download.

    Raises:
        UserError: there is no such file, or the manifest cannot be followed.
    """
    if path.suffix == ".json":
        manifest = read_manifest(path)
        return find_package_data(manifest) if isinstance(manifest, PackageManifest) else fetch(manifest, DOWNLOADS)
    if not path.exists():
        raise UserError(f"{path} does not exist: correct `path` in params.yaml")
    if not path.is_file() and not path.is_dir():
        raise UserError(f"{path} is a pipe, a socket or a device: name a folder or an archive as `path` in params.yaml")
    return path


@contextmanager
def open_source(path: Path, *, follow_links: bool = False) -> Iterator[list[SourceFile]]:
    """Yield the files of a folder or an archive, to be read until the block ends.

    Args:
        path: of the folder or the archive.
        follow_links: whether links of a folder may lead out of it.

    Raises:
        UserError: see `folder_files` and `open_archive`.
    """
    if path.is_dir():
        yield folder_files(path, follow_links=follow_links)
    else:
        with open_archive(path) as files:
            yield files


def write_dataset(dataset: Path, files: Sequence[SourceFile], *, crop_fundus: bool = False) -> None:
    """Copy the files byte by byte to `dataset`/<name>; the folder appears when the last one is whole.

    Args:
        dataset: the folder.
        files: with names relative to it.
        crop_fundus: replaces the copied images by their crops, see `crop_folder`.

    Raises:
        UserError: the disk has too little space, or an image cannot be cropped.
    """
    needed, free = sum(file.size for file in files), shutil.disk_usage(dataset.parent).free
    if needed > free:
        raise UserError(f"{dataset} needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB left: make space")
    written: dict[Any, Path] = {}
    with replacing_folder(dataset, only_new=True) as folder:
        for file in progress(files, total=len(files), label=f"copy {dataset.name}"):
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            first = written.setdefault(file.open, target)
            if first != target:  # a link: an archive is not unpacked again for it
                shutil.copyfile(first, target)
                continue
            with file.open() as content, target.open("xb") as copy:
                shutil.copyfileobj(content, copy, 1 << 20)
        if crop_fundus:
            crop_folder(folder)
