"""Check or fetch the published weights that the proposer `foundation` needs."""

import logging
from collections.abc import Sequence
from pathlib import Path

from stages.aecsad.pseudo_label.foundation.weights import obtain, problem_of, read_weight_files, record, require
from stages.core.io.fetch import without_secrets
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

LOG = logging.getLogger(__name__)
ASKED_FOR = ("sam_vit_b", "sam_vit_l")  # smaller sizes of SAM, only by name


def provide_weights(path: Path, parts: Sequence[str], *, check: bool, fetch: bool, mirror: Path | None) -> str:
    """List the files with their state, after fetching them if that is asked for.

    Args:
        path: the manifest.
        parts: entries of it; all but ASKED_FOR if there are none.
        check: whether nothing is fetched.
        fetch: whether to fetch what is missing.
        mirror: folder to copy from.

    Raises:
        UserError: neither or both actions are asked for, an entry is unknown, or a file is not ready afterwards.
    """
    if check == fetch:
        raise UserError("name one of --check, which only looks, and --fetch, which brings what is missing")
    manifest = read_weight_files(path)
    chosen = list(parts) or [part for part in manifest.files if part not in ASKED_FOR]
    if unknown := [part for part in chosen if part not in manifest.files]:
        raise UserError(f"{path} has no {unknown[0]}; it has {', '.join(manifest.files)}")
    if fetch:
        record(path, manifest, {part: obtain(manifest, part, mirror=mirror) for part in chosen})
        manifest = read_weight_files(path)
    for part in chosen:
        entry = manifest.files[part]
        state = problem_of(manifest, part) or f"{manifest.path(part)} is ready"
        LOG.info(
            "%s: %s; %s; %s; sha256 %s; licence: %s",
            part, state, without_secrets(entry.url), entry.size, entry.sha256, entry.licence,
        )  # fmt: skip
    require(manifest, chosen)
    return f"{counted(len(chosen), 'file')} ready"
