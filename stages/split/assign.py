"""Decide each image's split: the source's own where it brings one, else the rule's."""

from collections.abc import Sequence

from stages.core.errors import UserError
from stages.split.records import Record
from stages.split.rule import Ratios, split_by_rule


def assign_splits(
    records: Sequence[Record], *, ratios: Ratios, resplit: bool, seed: int
) -> tuple[list[Record], list[str]]:
    """Give every record a split.

    A source without any split, or with `resplit`, is divided by the rule. One without validation images (MVTec AD has
    none) gives a part of its normal training images, t : v, and its test images stay as they are.

    Returns:
        The records sorted by path, and the rule's complaints; where there are any, the records keep their own split.
    """
    ordered = sorted(records, key=lambda record: record.path)
    try:
        if resplit or all(record.split is None for record in ordered):
            ordered = split_by_rule(ordered, ratios=ratios, seed=seed)
        elif all(record.split != "validation" for record in ordered):
            ordered = take_validation(ordered, ratios=ratios, seed=seed)
    except UserError as error:
        return ordered, [str(error)]
    return sorted(ordered, key=lambda record: record.path), []


def take_validation(records: Sequence[Record], *, ratios: Ratios, seed: int) -> list[Record]:
    """Move normal training images to validation by the rule with test's share set to 0.

    Raises:
        UserError: see `split_by_rule`.
    """
    train = [record for record in records if record.split == "train" and not record.is_anomalous]
    others = [record for record in records if record.split != "train" or record.is_anomalous]
    return [*split_by_rule(train, ratios=(ratios[0], ratios[1], 0), seed=seed), *others]
