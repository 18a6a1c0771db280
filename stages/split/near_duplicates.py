"""Near-duplicates: images that are nearly the same picture, and so must stay together in a split.

Two images are near-duplicates when their perceptual hashes and their thumbnails agree. The hash alone would also find
images of the same product in the same place.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.core.run.params import Params
from stages.split.readers.records import Record

THUMBNAIL, SIDE, KEPT = 64, 32, 8  # pixels, pixels, frequencies
BLOCKS = 8  # blocks a side of a thumbnail, whose means rule most pairs out at once
CHUNK = 256  # images compared with all others at once
Shares = Mapping[bool, Counter[str]]


class NearDuplicateParams(Params):
    """Section `near_duplicates`, the same for the split and for data health.

    Attributes:
        hash_distance: bits in which the hashes of near-duplicates may differ, of 64.
        pixel_difference: mean difference of their thumbnails' grey values, in levels of 255.
    """

    hash_distance: int = Field(ge=0, le=16)
    pixel_difference: float = Field(gt=0)


@dataclass(frozen=True)
class PerceptualHash:
    """What an image is compared by.

    Attributes:
        thumbnail: grey values.
        bits: signs of low frequencies against their median (pHash).
    """

    thumbnail: UInt8[np.ndarray, "64 64"]
    bits: Bool[np.ndarray, " 64"]


def perceptual_hash(grey: UInt8[np.ndarray, "H W"]) -> PerceptualHash:
    """Compute thumbnail and hash of grey values.

    The hash is that of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010: the lowest
    8 x 8 frequencies of the cosine transform of 32 x 32 grey values.
    """
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:KEPT, :KEPT].ravel()
    return PerceptualHash(
        np.asarray(cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)),
        np.asarray(low > np.median(low[1:])),
    )


def find_links(hashes: Sequence[PerceptualHash], params: NearDuplicateParams) -> list[tuple[int, int]]:
    """Link near-duplicates: positions (a, b), a < b, in order.

    Of all pairs only those that join two groups for the first time, at most one fewer than there are images: under a
    fixed camera nearly all images are alike, and their pairs would be hundreds of millions. Images that are linked
    already are not compared either.
    """
    if not hashes:
        return []
    signs = np.stack([one.bits for one in hashes]).astype(np.float32) * 2 - 1
    thumbnails = np.stack([one.thumbnail for one in hashes])
    blocks = block_means(thumbnails)
    group = np.arange(len(hashes))
    largest = params.pixel_difference * THUMBNAIL**2
    links = []
    for start in range(0, len(hashes), CHUNK):
        close = (signs.shape[1] - signs[start : start + CHUNK] @ signs.T) / 2 <= params.hash_distance
        for row, columns in enumerate(close):
            first = start + row
            columns[: first + 1] = False
            others = np.flatnonzero(columns & (group != group[first]))
            # a mean of differences is never smaller than the difference of means: this loses no link
            others = others[np.abs(blocks[others] - blocks[first]).mean(axis=1) <= params.pixel_difference]
            for other in others.tolist():
                if group[other] == group[first]:
                    continue
                if cv2.norm(thumbnails[first], thumbnails[other], cv2.NORM_L1) <= largest:
                    links.append((first, other))
                    group[group == group[other]] = group[first]
    return links


def block_means(thumbnails: UInt8[np.ndarray, "N 64 64"]) -> Float32[np.ndarray, "N 64"]:
    """Average blocks of 8 x 8 pixels."""
    side = THUMBNAIL // BLOCKS
    blocks = thumbnails.reshape(-1, BLOCKS, side, BLOCKS, side)
    means: Float32[np.ndarray, "N 64"] = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(thumbnails), -1)
    return means


@dataclass(frozen=True)
class NearDuplicates:
    """Groups of near-duplicates by POSIX path.

    Attributes:
        groups: two images or more each; each a near-duplicate of another one of its group, and of none of another.
        contents: the sha256 of every image.
    """

    groups: Sequence[Sequence[str]] = ()
    contents: Mapping[str, str] = field(default_factory=dict)


def find_groups(
    hashes: Mapping[str, PerceptualHash], contents: Mapping[str, str], params: NearDuplicateParams
) -> NearDuplicates:
    """Group all images that decode.

    Args:
        hashes: by path.
        contents: the sha256 by path.
        params: what counts as nearly the same picture.
    """
    paths = sorted(hashes)
    links = np.array(find_links([hashes[path] for path in paths], params), dtype=int)
    rows, columns = links.reshape(-1, 2).T
    edges = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(paths), len(paths)))
    members = defaultdict(list)
    for path, number in zip(paths, connected_components(edges, directed=False)[1].tolist(), strict=True):
        members[number].append(path)
    return NearDuplicates(tuple(tuple(group) for group in members.values() if len(group) > 1), contents)


def groups_among(
    records: Sequence[Record], duplicates: NearDuplicates, shares: Shares
) -> tuple[list[list[Record]], list[list[Record]]]:
    """Return the groups that are kept together and those that are too large, each in the order of `records`.

    A group is too large with more normal images than the smallest part is to get, or more anomalous ones. Then it is
    no duplicates that are alike but the product itself, as a fixed camera sees it, and keeping them together would
    leave a part empty; of such a group only equal files stay together.

    Args:
        records: to divide.
        duplicates: of all images.
        shares: how many normal and how many anomalous images each part is to get.
    """
    place = {path: number for number, group in enumerate(duplicates.groups) for path in group}
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
            kept += equal_files(group, duplicates.contents)
    return [group for group in kept if len(group) > 1], [group for group in too_large if len(group) > 1]


def equal_files(group: Sequence[Record], contents: Mapping[str, str]) -> list[list[Record]]:
    """Divide a group into images of the same content."""
    same = defaultdict(list)
    for record in group:
        same[contents[record.path]].append(record)
    return list(same.values())
