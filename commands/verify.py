"""Verify a bundle on this machine, or metrics by their scores: `oddpart verify bundles/bracket/oddpart`."""

import logging
from pathlib import Path

from stages.core.runtime.bundle import load
from stages.core.runtime.calibration import counted
from stages.core.runtime.errors import UserError
from stages.core.runtime.manifest import MANIFEST
from stages.core.runtime.verifying import verify

LOG = logging.getLogger(__name__)


def verify_folder(folder: Path) -> str:
    """Verify what a folder holds and return the closing counts.

    Raises:
        UserError: it is neither a bundle nor a folder of metrics, or what it holds is not as it was made.
    """
    if (folder / MANIFEST).exists():
        return verify_bundle(folder)
    if any(folder.glob("*/*.csv")):
        from commands.recompute import recompute  # needs what a bundle's user has not installed

        return recompute(folder)
    state = f"has neither {MANIFEST} nor tables of scores" if folder.is_dir() else "is no folder"
    raise UserError(
        f"{folder} {state if folder.exists() else 'does not exist'}: name a bundle, such as "
        "artifacts/export/pin_tray/oddpart, or a folder of metrics, `metrics` or the results of `make paper`"
    )


def verify_bundle(folder: Path) -> str:
    """Check a bundle's files, judge its test pictures and return the closing counts.

    Raises:
        UserError: a file is missing or was changed, or a picture gets another score than the pipeline gave it.
    """
    bundle = load(folder)
    worst = 0.0
    found = list(verify(bundle))
    for one in found:
        LOG.info("%s: score %.6g, the pipeline's to %.1e", one.picture, one.score, one.error)
        worst = max(worst, one.error)
    pictures = counted(len(found), "picture")
    return f"{bundle.product}, {bundle.method}: {pictures} judged, with the pipeline's scores within {worst:.1e}"
