"""The anomaly-aware split rule: how many images go where, and which.

A split that the source brings is kept; else the rule divides the images, and keeps near-duplicates together. What
decides is the content of a file, not its name, so that a split hardly changes when pictures are renamed or added.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from stages.core.run.errors import UserError
from stages.split.near_duplicates import NearDuplicates, Shares, groups_among
from stages.split.readers.records import Record

Ratios = tuple[int, int, int]
PARTS = ("train", "validation", "test")


def count_normals(count: int, ratios: Ratios) -> tuple[int, int, int]:
    """Count how many of `count` normal images go to train, validation and test.

        n_train = round(n t / S),   n_validation = round(r v / (v + s)),   n_test = the rest

    with S = t + v + s and r = n - n_train, in integers, halves up. The percents of the rule's printed table are
    rounded and must not be used.

    Args:
        count: n.
        ratios: t, v, s: not negative, at least one positive; they need not add up to 100.

    Raises:
        UserError: nothing is left to train on, or images are left and both other ratios are 0.
    """
    train, validation, test = ratios
    to_train = half_up(count * train, train + validation + test)
    if to_train == 0:
        raise UserError(f"ratios {list(ratios)} of {count} normal images leave none to train on: add images or ratio")
    return to_train, *count_held_out(count - to_train, ratios)


def count_anomalies(count: int, ratios: Ratios) -> tuple[int, int]:
    """Count how many of `count` anomalies go to validation and test: as `count_held_out`, but the first one to test.

    Without one in test nothing can be measured. In validation an anomaly decides nothing.

    Raises:
        UserError: see `count_held_out`.
    """
    to_validation, to_test = count_held_out(count, ratios)
    return (to_validation - 1, 1) if count and ratios[2] and not to_test else (to_validation, to_test)


def count_held_out(count: int, ratios: Ratios) -> tuple[int, int]:
    """Count how many of `count` images that train cannot have go to validation and test, in the proportion v : s.

    Raises:
        UserError: there are such images and both ratios are 0.
    """
    _, validation, test = ratios
    if count == 0:
        return 0, 0
    if validation + test == 0:
        raise UserError(f"ratios {list(ratios)} leave no place for {count} images: give validation or test a share")
    to_validation = half_up(count * validation, validation + test)
    return to_validation, count - to_validation


def half_up(numerator: int, denominator: int) -> int:
    """Round numerator / denominator to the next integer, halves up; 0 / 0 is an error."""
    return (2 * numerator + denominator) // (2 * denominator)


def split_by_rule(
    records: Sequence[Record], *, ratios: Ratios, seed: int, contents: Mapping[str, str] | None = None
) -> list[Record]:
    """Assign every record a split: sort by `place` and cut; normal and anomalous images each on their own.

    Names do not count. Where k images are added, at most k of the others move across each of the two cuts, most often
    about as many as the root of k; and none moves between train and test unless k exceeds what validation has.

    Args:
        records: to divide.
        ratios: train : validation : test.
        seed: of the order. Adding an anomaly does not change where the normal images go.
        contents: the sha256 of every image by path; the path stands for it where it is not known.

    Raises:
        UserError: see `count_normals`.
    """
    known = contents or {}
    ordered = sorted(records, key=lambda record: (place(record, known, seed), record.path))
    normals, anomalies = ([one for one in ordered if one.is_anomalous == kind] for kind in (False, True))
    normal_counts, anomaly_counts = count_normals(len(normals), ratios), count_anomalies(len(anomalies), ratios)
    names = [name for name, n in zip(PARTS, normal_counts, strict=True) for _ in range(n)]
    names += [name for name, n in zip(PARTS[1:], anomaly_counts, strict=True) for _ in range(n)]
    return [replace(record, split=name) for record, name in zip([*normals, *anomalies], names, strict=True)]


def place(record: Record, contents: Mapping[str, str], seed: int) -> Fraction:
    """Return an image's place from 0 to 1, as good as drawn at random: a hash of its content and the seed."""
    content = contents.get(record.path, record.path)
    digest = hashlib.sha256(f"{seed} {content}".encode("utf-8", "surrogateescape")).digest()
    return Fraction(int.from_bytes(digest[:8], "big"), 2**64)


@dataclass(frozen=True)
class Together:
    """Effect of keeping near-duplicates together.

    Attributes:
        groups: kept together.
        images: in these groups.
        normals_like_anomalies: normal images that train may not have, as an anomalous one is nearly the same picture.
        too_large: images in groups that were not kept together, see `groups_among`.
    """

    groups: int = 0
    images: int = 0
    normals_like_anomalies: int = 0
    too_large: int = 0


def split_together(
    records: Sequence[Record], duplicates: NearDuplicates, *, ratios: Ratios, seed: int
) -> tuple[list[Record], Together]:
    """Assign every record a split as `split_by_rule` does, and every group of near-duplicates one and the same.

    A near-duplicate of a training image in test or validation measures memory, not judgement. The rule:

    1. `split_by_rule` determines how many normal and anomalous images each part gets, and where each image would go.
    2. The groups choose first, the largest before smaller ones and equal ones in the seeded order. A group goes where
       the place of its first image (its first anomalous one, if it has any) falls among the shares of the parts,
       whatever other images there are, if there is space for all, else where most space is left, else where it exceeds
       the space least. A group with an anomalous image goes to validation or test, its normal images with it: train
       never has an anomaly, nor a normal image that resembles a test anomaly.
    3. The other images fill what is left in the seeded order, so that the numbers of step 1 are met whenever the groups
       fit into them. Where they do not, the part with most space left bears the difference.

    Without near-duplicates this is `split_by_rule`.

    Raises:
        UserError: see `count_normals`.
    """
    plain = split_by_rule(records, ratios=ratios, seed=seed, contents=duplicates.contents)
    shares: Shares = {
        kind: Counter(str(record.split) for record in plain if record.is_anomalous == kind) for kind in (False, True)
    }
    groups, too_large = groups_among(plain, duplicates, shares)
    space = {kind: Counter({part: counts[part] for part in PARTS}) for kind, counts in shares.items()}
    chosen: dict[str, str] = {}
    for group in sorted(groups, key=len, reverse=True):
        first = next((record for record in group if record.is_anomalous), group[0])
        wish = share_at(place(first, duplicates.contents, seed), ratios, held_out=first.is_anomalous)
        part = choose_part(group, wish, space, [part for part in PARTS if any(one[part] for one in shares.values())])
        for record in group:
            chosen[record.path] = part
            space[record.is_anomalous][part] -= 1
    for kind, left in space.items():
        singles = [record.path for record in plain if record.is_anomalous == kind and record.path not in chosen]
        chosen |= zip(singles, fill(left), strict=True)
    normals = sum(not one.is_anomalous for group in groups if has_anomaly(group) for one in group)
    together = Together(len(groups), sum(map(len, groups)), normals, sum(map(len, too_large)))
    return [replace(record, split=chosen[record.path]) for record in plain], together


def share_at(place: Fraction, ratios: Ratios, *, held_out: bool) -> str:
    """Return the part whose share of 0 to 1 a place falls into: train first, then validation, then test.

    Args:
        held_out: whether train may not have it; then the other two share it all.
    """
    shares = (0, *ratios[1:]) if held_out else ratios
    ends = [Fraction(sum(shares[: number + 1]), sum(shares)) for number in range(len(PARTS))]
    return next(part for part, end in zip(PARTS, ends, strict=True) if place < end)


def choose_part(group: Sequence[Record], wish: str, space: Shares, parts: Sequence[str]) -> str:
    """Choose where a group goes, see `split_together`.

    Args:
        group: of near-duplicates.
        wish: the part that its place falls into.
        space: images that each part still takes, by kind; below zero where groups already exceed it.
        parts: those with a share.
    """
    numbers = Counter(record.is_anomalous for record in group)

    def rank(part: str) -> tuple[int, bool, int]:
        left = [space[kind][part] - number for kind, number in numbers.items()]
        return sum(max(0, -spare) for spare in left), part != wish, -sum(left)

    return min((part for part in parts if part != "train" or not has_anomaly(group)), key=rank)


def has_anomaly(group: Sequence[Record]) -> bool:
    """Report whether train may not have the group."""
    return any(record.is_anomalous for record in group)


def fill(space: Counter[str]) -> list[str]:
    """Return a part for each image that is left, train first; the part with most space yields to overfull ones."""
    left = dict(space)
    while min(left.values()) < 0:
        left[min(left, key=lambda part: left[part])] += 1
        left[max(left, key=lambda part: left[part])] -= 1
    return [part for part in PARTS for _ in range(left[part])]


@dataclass(frozen=True)
class Assignment:
    """Every image's split.

    Attributes:
        records: sorted by path.
        complaints: of the rule; where there are any, the records keep their own split.
        together: the effect of near-duplicates; None where the source's own split was kept.
        ratios: by which all images were divided; None where the source's own split was kept, wholly or in part.
    """

    records: list[Record]
    complaints: list[str]
    together: Together | None
    ratios: Ratios | None = None


def assign_splits(
    records: Sequence[Record], duplicates: NearDuplicates, *, ratios: Ratios, resplit: bool, seed: int
) -> Assignment:
    """Assign every record a split.

    A source without any split, or with `resplit`, is divided by the rule, which keeps near-duplicates in one part. One
    without validation images (MVTec AD has none) cedes a part of its normal training images, t : v, and its test images
    stay as they are. A whole split of the source is kept, whatever is alike in it; data health names such pairs. The
    rule assigns none where a table calls an image both normal and anomalous, which the checks find.
    """
    ordered, together = sorted(records, key=lambda record: record.path), None
    by_rule = resplit or all(record.split is None for record in ordered)
    if by_rule and len({one.path for one in ordered}) < len({(one.path, one.is_anomalous) for one in ordered}):
        return Assignment(ordered, [], None)
    try:
        if by_rule:
            ordered, together = split_together(ordered, duplicates, ratios=ratios, seed=seed)
        elif all(record.split != "validation" for record in ordered):
            ordered, together = take_validation(ordered, duplicates, ratios=ratios, seed=seed)
    except UserError as error:
        return Assignment(ordered, [str(error)], None)
    return Assignment(sorted(ordered, key=lambda record: record.path), [], together, ratios if by_rule else None)


def take_validation(
    records: Sequence[Record], duplicates: NearDuplicates, *, ratios: Ratios, seed: int
) -> tuple[list[Record], Together]:
    """Move normal training images to validation by the rule with test's share set to 0.

    Raises:
        UserError: see `split_together`.
    """
    train = [record for record in records if record.split == "train" and not record.is_anomalous]
    others = [record for record in records if record.split != "train" or record.is_anomalous]
    divided, together = split_together(train, duplicates, ratios=(ratios[0], ratios[1], 0), seed=seed)
    return [*divided, *others], together
