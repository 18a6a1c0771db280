"""Choose the labelled images that a method may learn from."""

import logging

import pandas as pd

from stages.clip.model.labelled_pool import POOL_COLUMNS, have_content_of

LOG = logging.getLogger(__name__)


def choose_pool(truth: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Choose normal training images and anomalies of the validation split, without anything that is judged.

    Normal validation images are excluded: the threshold comes from them. Content counts, not names: an image whose file
    is byte for byte among those to be judged is excluded, and the log reports it.

    Args:
        truth: of the data set to learn from.
        judged: image table of the data set on which the method will be judged, the same one or another.

    Returns:
        POOL_COLUMNS, sorted by image_id.
    """
    normal = (truth["split"] == "train") & ~truth["is_anomalous"]
    set_aside = (truth["split"] == "validation") & truth["is_anomalous"]
    pool = truth[normal | set_aside]
    taken = have_content_of(pool["file"], judged[judged["split"].isin(["test", "validation"])]["file"])
    if taken.any():
        LOG.warning(
            "%d images of the pool are excluded, because they are judged: %s",
            taken.sum(),
            ", ".join(pool[taken]["image_id"][:5]),
        )
    return pool[~taken][list(POOL_COLUMNS)].sort_values("image_id").reset_index(drop=True)


def describe(pool: pd.DataFrame) -> str:
    """Count the pool's images for the stage's closing line."""
    anomalous = pool[pool["is_anomalous"]]
    masked = int((anomalous["mask_files"].str.len() > 0).sum())
    return f"{len(pool) - len(anomalous)} normal and {len(anomalous)} anomalous images, {masked} of these with a mask"
