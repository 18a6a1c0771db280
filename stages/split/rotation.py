"""Folds of the normal training images, for products with so few pictures that each has to be held out in its turn.

Where train and validation are small, a threshold from validation alone could state no useful rate of false alarms.
Then methods hold out one fold after the other (`stages.core.io.rotation`).
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from stages.core.io.rotation import NEVER, VALIDATION_FOLD
from stages.core.runtime.calibration import counted
from stages.split.near_duplicates import NearDuplicates, groups_among
from stages.split.readers.records import Record
from stages.split.rule import place

FOLDS = 4  # of training images: so many further trainings. With 70 : 15 a fold is about as large as validation
Folds = Mapping[str, int]  # by path, of normal images of train and validation; empty where validation does not rotate
LOG = logging.getLogger(__name__)


def assign_folds(records: Sequence[Record], duplicates: NearDuplicates, *, up_to: int, seed: int) -> Folds:
    """Put the normal training images into FOLDS folds; validation is fold 0.

    Near-duplicates share a fold: groups first, the largest before smaller ones, each into the emptiest fold (of equal
    ones the first), then single images; all in the order of their `place`, which their content decides. A training
    image that is nearly one of validation, as in a split that the source brings, gets NEVER: every model of a turn has
    learned from validation. A group of more than half as many images as train has is the product itself, as a fixed
    camera sees it, and is divided like other images, see `groups_among`.

    Args:
        records: with their split.
        duplicates: of all images.
        up_to: largest number of normal images in train and validation with which validation rotates.
        seed: of the order.

    Returns:
        Nothing with more images, without validation images or with fewer training images than folds.
    """
    normal = [record for record in records if not record.is_anomalous and record.split in ("train", "validation")]
    train = sum(record.split == "train" for record in normal)
    if not rotates(train, len(normal) - train, up_to=up_to):
        return {}
    ordered = sorted(normal, key=lambda record: (place(record, duplicates.contents, seed), record.path))
    groups, _ = groups_among(ordered, duplicates, {False: Counter({"fold": train // 2})})
    grouped = {record.path for group in groups for record in group}
    units = [*groups, *([record] for record in ordered if record.path not in grouped)]
    sizes = dict.fromkeys(range(1, FOLDS + 1), 0)
    folds: dict[str, int] = {}
    for unit in sorted(units, key=len, reverse=True):
        learned = [record.path for record in unit if record.split == "train"]
        folds |= {record.path: VALIDATION_FOLD for record in unit if record.split == "validation"}
        fold = NEVER if len(learned) < len(unit) else min(sizes, key=lambda number: sizes[number])
        folds |= dict.fromkeys(learned, fold)
        if fold != NEVER:
            sizes[fold] += len(unit)
    return folds if any(sizes.values()) else {}


def rotates(train: int, validation: int, *, up_to: int) -> bool:
    """Return whether validation rotates with so many normal images of each, see `assign_folds`."""
    return train >= FOLDS and validation > 0 and train + validation <= up_to


def describe(folds: Folds) -> dict[str, dict[str, int]]:
    """Return as `rotation` how many folds there are, and how many training images are held out; nothing without folds.

    For the counts of the split and for data health.
    """
    held_out = [fold for fold in folds.values() if fold not in (NEVER, VALIDATION_FOLD)]
    return {"rotation": {"folds": len(set(held_out)), "held_out": len(held_out)}} if folds else {}


def log_folds(folds: Folds) -> None:
    """Say that validation rotates, if so."""
    if folds:
        counts = describe(folds)["rotation"]
        validation = sum(fold == VALIDATION_FOLD for fold in folds.values())
        LOG.info(
            "few pictures: besides %s, %d training images are held out in %d turns for the threshold "
            "(split.rotate_up_to), which takes as many further trainings",
            counted(validation, "validation image"), counts["held_out"], counts["folds"],
        )  # fmt: skip
