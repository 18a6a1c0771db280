"""The files that a run with the publications' settings needs, and whether they are available."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from stages.core.io.fetch import without_secrets
from stages.core.run.errors import UserError
from stages.core.run.params import Params
from stages.download.manifest import DownloadManifest, read_manifest

TIMEOUT = 20.0  # seconds


class WeightsFile(Params):
    """A file of a model on the hub; sha256 is None where no source states it."""

    model: str
    file: str
    url: str
    sha256: str | None
    size: str
    licence: str


class PaperFiles(Params):
    """`data/paper.json`, or that of another profile.

    Attributes:
        archive: a download manifest.
        method: whose numbers are printed.
        needs: further methods that it is made from.
        weights: what the profile's encoder needs.
        categories: for each category, the values below `aecsad` of the profile that its publication sets otherwise.
        variants: the same for other publications of the method, for all categories: `thesis` is AeCSAD's.
    """

    archive: Path
    method: str
    needs: tuple[str, ...]
    weights: tuple[WeightsFile, ...]
    categories: dict[str, dict[str, Any]]
    variants: dict[str, dict[str, Any]]


def read_paper_files(path: Path) -> tuple[PaperFiles, DownloadManifest]:
    """Read the list and the archive's manifest.

    Raises:
        UserError: one of them is damaged.
    """
    try:
        files = PaperFiles.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    manifest = read_manifest(files.archive)
    if not isinstance(manifest, DownloadManifest):
        raise UserError(f"{files.archive}: names a package, needed is an archive with url and sha256")
    return files, manifest


def check_files(files: PaperFiles, manifest: DownloadManifest, *, archive: Path, settings: Mapping[str, Any],
                further: Sequence[str] = ()) -> None:  # fmt: skip
    """Pass when every file is there or its server answers; nothing is fetched and nothing is run before.

    Args:
        files: what is needed.
        manifest: of the archive.
        archive: where the archive lies once it is fetched.
        settings: the profile's.
        further: what else is missing, an entry each.

    Raises:
        UserError: some are neither; all of them are listed, with what to fetch and where to put it.
    """
    missing = []
    if not archive.exists() and not answers(manifest.url):
        missing.append(
            f"{manifest.file} ({manifest.size}, {manifest.licence}, sha256 {manifest.sha256})\n"
            f"      from {without_secrets(manifest.url)}\n      to {archive}"
        )
    local = local_weights(settings)
    missing += missing_weights(files.weights) if local is None else missing_file(local, "the encoder's weights")
    penalty = penalty_folder(settings)
    missing += [] if penalty is None else missing_file(penalty, "a folder of natural images, for the students' penalty")
    missing += further
    if missing:
        listed = "".join(f"\n  - {entry}" for entry in missing)
        raise UserError(f"nothing was run, as this is neither here nor available from here:{listed}")


def local_weights(settings: Mapping[str, Any]) -> Path | None:
    """Return the file with the encoder's weights that a profile names, None where they come from the hub."""
    weights = settings["encoder"].get("weights")
    return None if weights is None else Path(weights["file"])


def penalty_folder(settings: Mapping[str, Any]) -> Path | None:
    """Return the folder of natural images that a profile names, None where it names none."""
    folder = settings["aecsad"]["student_teacher"]["training"]["penalty_images"]
    return None if folder is None else Path(folder)


def with_absolute_paths(settings: dict[str, Any]) -> None:
    """Write the profile's files as a clone finds them, in place."""
    if (weights := local_weights(settings)) is not None:
        settings["encoder"]["weights"]["file"] = str(weights.resolve())
    if (penalty := penalty_folder(settings)) is not None:
        settings["aecsad"]["student_teacher"]["training"]["penalty_images"] = str(penalty.resolve())


def missing_file(path: Path, what: str) -> list[str]:
    """Say what to put where, unless something is there."""
    return [] if path.exists() else [f"{what}\n      to {path.resolve()}"]


def missing_weights(files: Sequence[WeightsFile]) -> list[str]:
    """For each file that is neither in the hub's cache nor reachable, what to fetch and how."""
    missing = []
    for weights in files:
        cached = isinstance(try_to_load_from_cache(weights.model, weights.file), str)
        if not cached and not answers(weights.url):
            missing.append(
                f"{weights.model} {weights.file} ({weights.size}, {weights.licence}, "
                f"sha256 {weights.sha256 or 'not published, see the model page'})\n"
                f"      from {weights.url}\n      into the hub cache: hf download {weights.model} {weights.file}"
            )
    return missing


def answers(url: str) -> bool:
    """Whether the server has the file; proxies come from the environment."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return bool(response.status < 400)
    except (urllib.error.URLError, OSError, ValueError):
        return False
