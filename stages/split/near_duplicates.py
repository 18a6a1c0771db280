"""Images that must stay together in a split: those that are nearly the same picture."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.split.inspect_files import Inspection
from stages.split.readers.records import Record
from stages.split.similarity import find_alike

Shares = Mapping[bool, Counter[str]]


@dataclass(frozen=True)
class Alike:
    """Near-duplicates by POSIX path.

    Attributes:
        groups: two images or more each; each alike another one of its group, and none alike one of another group.
        contents: the sha256 of every image.
    """

    groups: Sequence[Sequence[str]] = ()
    contents: Mapping[str, str] = field(default_factory=dict)


def find_groups(files: Inspection, *, hash_distance: int, pixel_difference: float) -> Alike:
    """Group all images that decode; the limits are those of `stages.split.similarity.LikenessParams`."""
    paths = sorted(files.images)
    looks = [files.images[path].likeness for path in paths]
    pairs = np.array(find_alike(looks, hash_distance=hash_distance, pixel_difference=pixel_difference), dtype=int)
    rows, columns = pairs.reshape(-1, 2).T
    edges = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(paths), len(paths)))
    members = defaultdict(list)
    for path, number in zip(paths, connected_components(edges, directed=False)[1].tolist(), strict=True):
        members[number].append(path)
    groups = tuple(tuple(group) for group in members.values() if len(group) > 1)
    return Alike(groups, {path: files.images[path].sha256 for path in paths})


def groups_among(
    records: Sequence[Record], alike: Alike, shares: Shares
) -> tuple[list[list[Record]], list[list[Record]]]:
    """The groups that are kept together and those that are too large for it, each in the order of `records`.

    Too large is a group with more normal images than the smallest part shall get, or more anomalous ones. Then it
    is no duplicates that are alike but the product itself, as a fixed camera sees it, and keeping them together would
    leave a part empty; of such a group only equal files stay together.

    Args:
        shares: how many normal and how many anomalous images each part shall get.
    """
    place = {path: number for number, group in enumerate(alike.groups) for path in group}
    found = defaultdict(list)
    for record in records:
        if record.path in place:
            found[place[record.path]].append(record)
    kept, too_large = [], []
    limits = {kind: min((n for n in counts.values() if n > 0), default=0) for kind, counts in shares.items()}
    for group in found.values():
        numbers = Counter(record.is_anomalous for record in group)
        if all(numbers[kind] <= limits[kind] for kind in numbers):
            kept.append(group)
        else:
            too_large.append(group)
            kept += equal_files(group, alike.contents)
    return [group for group in kept if len(group) > 1], [group for group in too_large if len(group) > 1]


def equal_files(group: Sequence[Record], contents: Mapping[str, str]) -> list[list[Record]]:
    """The parts of a group that have the same content."""
    same = defaultdict(list)
    for record in group:
        same[contents[record.path]].append(record)
    return list(same.values())
