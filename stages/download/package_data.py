"""Find data that an installed Python package carries, without importing the package."""

import hashlib
import importlib.metadata
from pathlib import Path

from stages.core.running.errors import UserError
from stages.download.manifest import PackageManifest


def find_package_data(manifest: PackageManifest) -> Path:
    """The package's data folder, once its version and its table of labels are what the manifest says.

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
