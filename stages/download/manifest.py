"""Manifests: small JSON files that name data which are not in the repository, and where their data are found.

A manifest names a download, or data that come with an installed Python package, which is not imported.
"""

import hashlib
import importlib.metadata
import json
import logging
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from stages.core.io.fetch import fetch_file
from stages.core.run.errors import UserError
from stages.core.run.params import Params, validate

LOG = logging.getLogger(__name__)
SHA256 = Field(pattern="^[0-9a-f]{64}$")


class DownloadManifest(Params):
    """An archive behind an address.

    Attributes:
        file: its name in the folder of downloads.
        size: informational, e.g. "about 5.7 GB".
    """

    url: str = Field(pattern="^https?://")
    sha256: str = SHA256
    file: str = Field(pattern=r"^[\w.-]+$")
    size: str
    licence: str


class PackageManifest(Params):
    """Data that come with an installed Python package.

    Attributes:
        package: its name on the package index.
        folder: POSIX path of the data below the folder where packages are installed.
        labels: the table of labels in that folder, its sha256, and its number of rows (one an image).
    """

    package: str
    version: str
    folder: str
    labels: str
    labels_sha256: str = SHA256
    images: PositiveInt
    licence: str


def read_manifest(path: Path) -> DownloadManifest | PackageManifest:
    """Read and validate a manifest; its licence goes to the log.

    Raises:
        UserError: it is missing, not JSON, or a key is missing, unknown or of the wrong kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        manifest = parse(content, path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: write the manifest or correct `path` in params.yaml") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    LOG.info("%s: licence %s", path.name, manifest.licence)
    return manifest


def parse(content: Any, path: Path) -> DownloadManifest | PackageManifest:
    """Validate the content of a manifest.

    Raises:
        UserError: a key is missing, unknown or of the wrong kind.
    """
    if isinstance(content, dict) and "package" in content:
        return validate(PackageManifest, content, file=path)
    return validate(DownloadManifest, content, file=path)


def fetch(manifest: DownloadManifest, folder: Path) -> Path:
    """Return the file in `folder`, fetched unless it is there already.

    Raises:
        UserError: the server cannot be reached or the content is not what the manifest names.
    """
    target = folder / f"{manifest.sha256[:16]}-{manifest.file}"
    fetch_file(manifest.url, target, sha256=manifest.sha256, about=f"{manifest.file} ({manifest.size})")
    return target


def find_package_data(manifest: PackageManifest) -> Path:
    """Return the package's data folder, after a check of its version and its table of labels.

    Raises:
        UserError: the package is missing or of another version, or its labels differ.
    """
    install = f"run `pip install {manifest.package}=={manifest.version}`"
    try:
        distribution = importlib.metadata.distribution(manifest.package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the package {manifest.package} is not installed: {install}") from None
    if distribution.version != manifest.version:
        raise UserError(
            f"{manifest.package} {distribution.version} is installed, the manifest names {manifest.version}: {install}"
        )
    folder = Path(str(distribution.locate_file(manifest.folder)))
    labels = folder / manifest.labels
    if not labels.is_file():
        raise UserError(f"{labels} is missing: {install} --force-reinstall")
    content = labels.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.labels_sha256 or len(content.splitlines()) != manifest.images:
        raise UserError(
            f"{labels} is not the file the manifest names (sha256 or rows differ): {install} --force-reinstall"
        )
    return folder
