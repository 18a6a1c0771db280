"""Fetch what a manifest names."""

from pathlib import Path

from stages.core.fetch import fetch_file
from stages.download.manifest import DownloadManifest


def fetch(manifest: DownloadManifest, folder: Path) -> Path:
    """The file in `folder`, fetched unless it is there already.

    Raises:
        UserError: the server cannot be reached or the content is not what the manifest says.
    """
    target = folder / f"{manifest.sha256[:16]}-{manifest.file}"
    fetch_file(manifest.url, target, sha256=manifest.sha256, about=f"{manifest.file} ({manifest.size})")
    return target
