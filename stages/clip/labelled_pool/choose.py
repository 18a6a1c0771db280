"""Which labelled images a method may learn from."""

import logging
from pathlib import PurePosixPath

import pandas as pd

from stages.clip.model.labelled_pool import POOL_COLUMNS

LOG = logging.getLogger(__name__)


def choose_pool(truth: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Normal training images and anomalies of the validation part, without anything that is judged.

    Normal validation images stay out: the threshold comes from them. Content counts, not names: an image whose file is
    byte for byte among those to be judged is left out, and the log says so.

    Args:
        truth: of the data set to learn from.
        judged: image table of the data set on which the method will be judged, the same one or another.

    Returns:
        POOL_COLUMNS, sorted by image_id.
    """
    normal = (truth["split"] == "train") & ~truth["is_anomalous"]
    set_aside = (truth["split"] == "validation") & truth["is_anomalous"]
    pool = truth[normal | set_aside]
    kept = judged[judged["split"].isin(["test", "validation"])]["file"]
    taken = pool["file"].map(content).isin(set(kept.map(content)))
    if taken.any():
        LOG.warning(
            "%d images of the pool are left out, because they are judged: %s",
            taken.sum(),
            ", ".join(pool[taken]["image_id"][:5]),
        )
    return pool[~taken][list(POOL_COLUMNS)].sort_values("image_id").reset_index(drop=True)


def content(file: str) -> str:
    """The part of a file's name that stands for its content: the split stage names files by their sha256."""
    return PurePosixPath(file).stem


def describe(pool: pd.DataFrame) -> str:
    anomalous = pool[pool["is_anomalous"]]
    masked = int((anomalous["mask_files"].str.len() > 0).sum())
    return f"{len(pool) - len(anomalous)} normal and {len(anomalous)} anomalous images, {masked} of these with a mask"
