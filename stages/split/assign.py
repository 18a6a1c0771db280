"""Decide each image's split: the source's own where it brings one, else the rule's."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.core.running.errors import UserError
from stages.split.grouped_rule import Together, split_together
from stages.split.near_duplicates import Alike
from stages.split.records import Record
from stages.split.rule import Ratios


@dataclass(frozen=True)
class Assignment:
    """Every image's split.

    Attributes:
        records: sorted by path.
        complaints: of the rule; where there are any, the records keep their own split.
        together: what became of near-duplicates; None where the source's own split was kept.
    """

    records: list[Record]
    complaints: list[str]
    together: Together | None


def assign_splits(records: Sequence[Record], alike: Alike, *, ratios: Ratios, resplit: bool, seed: int) -> Assignment:
    """Give every record a split.

    A source without any split, or with `resplit`, is divided by the rule, which keeps near-duplicates in one part. One
    without validation images (MVTec AD has none) gives a part of its normal training images, t : v, and its test images
    stay as they are. A whole split of the source is kept, whatever is alike in it; data health names such pairs.
    """
    ordered, together = sorted(records, key=lambda record: record.path), None
    try:
        if resplit or all(record.split is None for record in ordered):
            ordered, together = split_together(ordered, alike, ratios=ratios, seed=seed)
        elif all(record.split != "validation" for record in ordered):
            ordered, together = take_validation(ordered, alike, ratios=ratios, seed=seed)
    except UserError as error:
        return Assignment(ordered, [str(error)], None)
    return Assignment(sorted(ordered, key=lambda record: record.path), [], together)


def take_validation(
    records: Sequence[Record], alike: Alike, *, ratios: Ratios, seed: int
) -> tuple[list[Record], Together]:
    """Move normal training images to validation by the rule with test's share set to 0.

    Raises:
        UserError: see `split_together`.
    """
    train = [record for record in records if record.split == "train" and not record.is_anomalous]
    others = [record for record in records if record.split != "train" or record.is_anomalous]
    divided, together = split_together(train, alike, ratios=(ratios[0], ratios[1], 0), seed=seed)
    return [*divided, *others], together
