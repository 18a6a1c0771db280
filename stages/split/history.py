"""How a split differs from that of the last run, for the log alone: what is remembered is no output of the stage."""

import json
import logging
from collections import Counter
from pathlib import Path

import pandas as pd

from stages.core.run.atomic import replacing_file

LOG = logging.getLogger(__name__)
REMEMBERED = Path("work/split")  # ignored by git; DVC deletes a stage's outputs before it runs


def log_moved(category: str, truth: pd.DataFrame) -> None:
    """Say how many images moved to another part since the last run here, and remember this one.

    Images are told by their content: renaming moves none. Where nothing is remembered, nothing is said.

    Args:
        category: of the images.
        truth: table of all images.
    """
    path = REMEMBERED / f"{category}.json"
    last, now = read_last(path), dict(zip(truth["sha256"], truth["split"], strict=True))
    common = [digest for digest in now if digest in last]
    moved = Counter(f"{last[digest]} to {now[digest]}" for digest in common if last[digest] != now[digest])
    if moved:
        LOG.warning(
            "%d of %d images are in another part of the split than in the last run here (%s): numbers before and after "
            "are of other images",
            moved.total(), len(common), ", ".join(f"{count} from {way}" for way, count in sorted(moved.items())),
        )  # fmt: skip
    elif common:
        LOG.info("all %d images that the last run here had are in the same part of the split", len(common))
    try:
        with replacing_file(path) as temporary:
            temporary.write_text(json.dumps(now), encoding="utf-8")
    except OSError as error:
        LOG.warning("%s: the split is not remembered for the next run's log (%s)", path, error.strerror)


def read_last(path: Path) -> dict[str, str]:
    """Return the part of each image by its sha256; empty where that is not there, or no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
