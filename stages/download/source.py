"""Open whatever a category's `path` names as a list of files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.running.errors import UserError
from stages.download.archive_files import open_archive
from stages.download.fetch import fetch
from stages.download.folder_files import folder_files
from stages.download.manifest import PackageManifest, read_manifest
from stages.download.package_data import find_package_data
from stages.download.source_file import SourceFile

DOWNLOADS = Path("work/downloads")  # git-ignored; no output of the stage, so that it outlives a change of params


def locate(path: Path) -> Path:
    """The archive or folder itself: a JSON manifest is followed, which may mean a download.

    Raises:
        UserError: there is no such file, or the manifest cannot be followed.
    """
    if path.suffix == ".json":
        manifest = read_manifest(path)
        return find_package_data(manifest) if isinstance(manifest, PackageManifest) else fetch(manifest, DOWNLOADS)
    if not path.exists():
        raise UserError(f"{path} does not exist: correct `path` in params.yaml")
    return path


@contextmanager
def open_source(path: Path) -> Iterator[list[SourceFile]]:
    """Give the files of a folder or an archive, to be read until the block ends.

    Raises:
        UserError: see `folder_files` and `open_archive`.
    """
    if path.is_dir():
        yield folder_files(path)
    else:
        with open_archive(path) as files:
            yield files
