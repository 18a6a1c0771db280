"""Choose from a folder or an archive the files of one category."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from stages.core.run.errors import UserError
from stages.download.packages import only_kind
from stages.download.source_files import SourceFile, is_stray

LOG = logging.getLogger(__name__)

# what lies at the top of one category's folder, by source
MARKERS = {
    "sample": "train",
    "mvtec_loco": "train",
    "mvtec": "train",
    "folder": "images/good",
    "csv": "labels.csv",
    "elpv": "labels.csv",
    "medianomaly": "data.json",
    "brats": "train",
    "camelyon16": "train",
    "oct2017": "train/NORMAL",
    "aptos2019": "train.csv",
    "br35h": "no",
    "isic2018": "ISIC2018_Task3_Training_Input",
}
# what a source's protocol never looks at and is not worth the stage
UNUSED = {"oct2017": ("train/CNV/", "train/DME/", "train/DRUSEN/", "val/"), "aptos2019": ("test_images/",)}


def choose_files(
    files: Sequence[SourceFile], *, source: str, key: str, subfolder: str | None, elpv_kind: str | None
) -> list[SourceFile]:
    """The files below the category's folder, with names relative to it.

    Stray files, and those that the source's protocol never looks at, are left out and counted.

    Args:
        key: the category's name in params.yaml.
        elpv_kind: of ELPV, the kind of solar cell; None for every other source.

    Raises:
        UserError: the category's folder is not there or not clear.
    """
    wanted = [file for file in files if not is_stray(file.name)]
    strays = [file.name for file in files if is_stray(file.name)]
    if strays:
        LOG.info(
            "%d stray files ignored (%s)", len(strays), ", ".join(sorted({PurePosixPath(s).name for s in strays})[:5])
        )
    root = category_root([file.name for file in wanted], marker=MARKERS[source], key=key, subfolder=subfolder)
    prefix = f"{root}/" if root else ""
    inside = [replace(file, name=file.name[len(prefix) :]) for file in wanted if file.name.startswith(prefix)]
    chosen = [file for file in inside if not file.name.startswith(UNUSED.get(source, ()))]
    if len(chosen) < len(inside):
        LOG.info("%d files not copied (%s)", len(inside) - len(chosen), ", ".join(UNUSED[source]))
    return chosen if elpv_kind is None else only_kind(chosen, elpv_kind)


def category_root(names: Sequence[str], *, marker: str, key: str, subfolder: str | None) -> str:
    """The category's folder among the names of all files, "" for the top.

    It is `subfolder` where given, else the folder called like the category that holds `marker`, else the only
    folder at its depth that holds it.

    Raises:
        UserError: none or several come into question; they are listed.
    """
    holders = sorted({folder for name in names for folder in folders_holding(name, marker)})
    if subfolder is not None:
        if subfolder.strip("/") in holders:
            return subfolder.strip("/")
        raise UserError(f"no folder {subfolder!r} that holds {marker!r}; there are: {listing(holders)}")
    named = [folder for folder in holders if PurePosixPath(folder).name == key]
    candidates = shallowest(named) or shallowest(holders)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise UserError(
            f"no folder holds {marker!r}, which a source of this kind has; there are: {listing(tops(names))}"
        )
    raise UserError(
        f"categories.{key}: several folders come into question, name one as `subfolder`: {listing(candidates)}"
    )


def folders_holding(name: str, marker: str) -> list[str]:
    """Every folder F for which `name` is F/marker or lies below it; "" is the top."""
    path, length = PurePosixPath(name), len(PurePosixPath(marker).parts)
    wanted = PurePosixPath(marker).parts
    starts = [i for i in range(len(path.parts) - length + 1) if path.parts[i : i + length] == wanted]
    return ["/".join(path.parts[:i]) for i in starts]


def shallowest(folders: Sequence[str]) -> list[str]:
    depths = [len(PurePosixPath(folder).parts) for folder in folders]
    return [folder for folder, depth in zip(folders, depths, strict=True) if depth == min(depths)]


def tops(names: Iterable[str]) -> list[str]:
    return sorted({PurePosixPath(name).parts[0] for name in names})


def listing(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20]) or "none"
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
