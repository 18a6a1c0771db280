"""List the folders and files of a data set, sorted, and say what does not belong there."""

from collections.abc import Collection
from pathlib import Path


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; none when it does not exist."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def files_in(root: Path, folder: str) -> tuple[list[str], list[str]]:
    """Files directly in a folder.

    Args:
        folder: POSIX path below `root`.

    Returns:
        Their POSIX paths below `root`, sorted, and a finding for each folder among them.
    """
    if not (root / folder).is_dir():
        return [], []
    names = sorted(path.name for path in (root / folder).iterdir())
    files = [f"{folder}/{name}" for name in names if (root / folder / name).is_file()]
    findings = [
        f"{folder}/{name}: is a folder where images are expected" for name in names if f"{folder}/{name}" not in files
    ]
    return files, findings


def masks_without_image(root: Path, folder: str, used: Collection[str]) -> list[str]:
    """A finding for each file below the folder of masks that no image uses."""
    masks = sorted(path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if path.is_file())
    return [f"{mask}: is a mask without an image: remove it or add its image" for mask in masks if mask not in used]
