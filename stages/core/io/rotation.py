"""Rotating validation (k-fold): with few pictures each normal training image is held out once, too.

The split puts the normal training images into folds (column `fold` of the image table). In its turn a fold is scored by
a model that was trained on all other normal images, those of validation among them, so on about as many as the model
that judges new images. These scores join those of the validation images where a threshold or a scale is fitted.

Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 2015; Barber, Candes, Ramdas,
Tibshirani, "Predictive Inference with the Jackknife+", Annals of Statistics 2021, section 3 (CV+).
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool

FOLD = "fold"  # column of the image table; only where validation rotates
VALIDATION_FOLD = 0  # held out from the model that judges new images
NEVER = -1  # of test images and the like, and of training images that are nearly one of validation
ROTATED = "rotated"  # split, in score tables, of a training image that was scored by a model without it


def rotations(images: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Return for each fold of training images the image table of its turn; none where validation does not rotate.

    Such a table has the normal images of train and validation only: the fold's images are "validation", all others
    "train". Its rows keep their order.

    Args:
        images: the image table.
    """
    if FOLD not in images.columns:
        return {}
    normal = images[images["split"].isin(["train", "validation"])]
    folds = sorted(set(normal[FOLD]) - {NEVER, VALIDATION_FOLD})
    return {
        int(fold): normal.assign(split=np.where(normal[FOLD] == fold, "validation", "train")).reset_index(drop=True)
        for fold in folds
    }


def rotated_rows(turns: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join the score tables of all turns: what was held out in its turn is of split ROTATED.

    Args:
        turns: tables with a column split; rows of training images are left out.
    """
    tables = [table[table["split"] == "validation"].assign(split=ROTATED) for table in turns]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def with_rotated(scores: pd.DataFrame, turns: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Add the rows that were held out in each turn to a score table; without turns it is returned as it is."""
    return pd.concat([scores, rotated_rows(turns.values())], ignore_index=True) if turns else scores


def calibrates(split: pd.Series) -> Bool[np.ndarray, " N"]:
    """Return which rows calibrate: normal images that the model which scored them has not seen."""
    return np.asarray(split.isin(["validation", ROTATED]))
