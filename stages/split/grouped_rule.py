"""The split rule where near-duplicates must not be torn apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stages.split.near_duplicates import Alike, Shares, groups_among
from stages.split.records import Record
from stages.split.rule import Ratios, split_by_rule

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Together:
    """What keeping near-duplicates together did.

    Attributes:
        groups, images: kept together.
        normals_beside_anomalies: normal images that train may not have, as an anomalous one is nearly the same picture.
        too_large: images in groups that were not kept together, see `groups_among`.
    """

    groups: int = 0
    images: int = 0
    normals_beside_anomalies: int = 0
    too_large: int = 0


def split_together(
    records: Sequence[Record], alike: Alike, *, ratios: Ratios, seed: int
) -> tuple[list[Record], Together]:
    """Give every record a split as `split_by_rule` does, and every group of near-duplicates one and the same.

    A near-duplicate of a training image in test or validation measures memory, not judgement. The rule:

    1. `split_by_rule` says how many normal and anomalous images each part gets, and where each image would go.
    2. The groups choose first, the largest before smaller ones and equal ones in the seeded order. A group goes where
       its first image would go (its first anomalous one, if it has any), if there is room for all, else where most room
       is left, else where it exceeds the room least. A group with an anomalous image goes to validation or test, its
       normal images with it: train never has an anomaly, nor a normal image that a test anomaly looks like.
    3. The other images fill what is left in the seeded order, so that the numbers of step 1 are met whenever the groups
       fit into them. Where they do not, the part with most room left gives up the difference.

    Without near-duplicates this is `split_by_rule`.

    Raises:
        UserError: see `count_normals`.
    """
    plain = split_by_rule(records, ratios=ratios, seed=seed)
    shares: Shares = {
        kind: Counter(str(record.split) for record in plain if record.is_anomalous == kind) for kind in (False, True)
    }
    groups, too_large = groups_among(plain, alike, shares)
    room = {kind: Counter({part: counts[part] for part in PARTS}) for kind, counts in shares.items()}
    chosen: dict[str, str] = {}
    for group in sorted(groups, key=len, reverse=True):
        part = choose_part(group, room, [part for part in PARTS if any(counts[part] for counts in shares.values())])
        for record in group:
            chosen[record.path] = part
            room[record.is_anomalous][part] -= 1
    for kind, left in room.items():
        singles = [record.path for record in plain if record.is_anomalous == kind and record.path not in chosen]
        chosen |= zip(singles, fill(left), strict=True)
    beside = sum(not one.is_anomalous for group in groups if has_anomaly(group) for one in group)
    together = Together(len(groups), sum(map(len, groups)), beside, sum(map(len, too_large)))
    return [replace(record, split=chosen[record.path]) for record in plain], together


def choose_part(group: Sequence[Record], room: Shares, parts: Sequence[str]) -> str:
    """Where a group goes, see `split_together`.

    Args:
        room: images that each part still takes, by kind; below zero where groups already exceed it.
        parts: those with a share.
    """
    numbers = Counter(record.is_anomalous for record in group)
    wish = next((record for record in group if record.is_anomalous), group[0]).split

    def rank(part: str) -> tuple[int, bool, int]:
        left = [room[kind][part] - number for kind, number in numbers.items()]
        return sum(max(0, -spare) for spare in left), part != wish, -sum(left)

    return min((part for part in parts if part != "train" or not has_anomaly(group)), key=rank)


def has_anomaly(group: Sequence[Record]) -> bool:
    """Whether train may not have the group."""
    return any(record.is_anomalous for record in group)


def fill(room: Counter[str]) -> list[str]:
    """A part for each image that is left, train first; where a part has too many, the one with most room gives up."""
    left = dict(room)
    while min(left.values()) < 0:
        left[min(left, key=lambda part: left[part])] += 1
        left[max(left, key=lambda part: left[part])] -= 1
    return [part for part in PARTS for _ in range(left[part])]
