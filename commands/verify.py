"""Verify a bundle on this machine: `oddpart verify bundles/bracket/oddpart`."""

import logging
from pathlib import Path

from stages.core.runtime.bundle import load
from stages.core.runtime.calibration import counted
from stages.core.runtime.verifying import verify

LOG = logging.getLogger(__name__)


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
