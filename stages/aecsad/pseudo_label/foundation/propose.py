"""The proposer `foundation`: RAM++, GroundingDINO and SAM, whose packages are an extra and imported on demand only."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from stages.aecsad.pseudo_label.foundation.prompts import Prompts
from stages.aecsad.pseudo_label.params import FoundationParams
from stages.aecsad.pseudo_label.proposal import Proposal
from stages.core.run.errors import UserError

PACKAGES = ("addict", "groundingdino", "pycocotools", "segment_anything", "tokenizers", "transformers", "yapf")
INSTALL = (
    "run `pip install -c constraints.txt -e '.[foundation]'` and "
    "`pip install --no-deps -c constraints.txt groundingdino-py`"
)


def propose_by_foundation(
    folder: Path,
    files: Sequence[str],
    manifest: Path,
    prompts: Prompts | None,
    params: FoundationParams,
    *,
    size: int,
    min_area: float,
) -> Proposal:
    """Find parts by RAM++ (tags), GroundingDINO (boxes) and SAM (masks) at the images' own resolution.

    Args:
        folder, files: the training images.
        manifest: JSON list of the weight files.
        prompts: a person's words, or None to go by tags that nobody reviewed.
        size: side of the instance maps in pixels.
        min_area: smallest instance, as a fraction of the image.

    Raises:
        UserError: a package or a weight file is missing, and see `finder.propose_masks`.
    """
    check_packages()
    from stages.aecsad.pseudo_label.foundation.finder import propose_masks

    return propose_masks([folder / name for name in files], manifest, prompts, params, size=size, min_area=min_area)


def check_packages() -> None:
    """Look for all packages at once: some are imported only when GroundingDINO is built, after minutes of tagging.

    Raises:
        UserError: one or more are not installed; all are named.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"the proposer `foundation` needs the package {', '.join(missing)}: {INSTALL}")
