"""Join parts that light and shade had divided: between them, colours change gradually."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

ACROSS = 3  # pixels, within which a step of colour happens
STEP = 0.5  # of the difference between two parts, that must happen there for them to be two
Pair = tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " M"]]
Place = tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " M"]]


@dataclass(frozen=True)
class Borders:
    """Where superpixels touch, and how colours change there.

    Attributes:
        pairs: touching superpixels.
        steps: colours of the first minus colours of the second, summed over pairs of pixels ACROSS apart.
        counts: of those pairs of pixels.
    """

    pairs: Int64[np.ndarray, "P 2"]
    steps: Float64[np.ndarray, "P 3"]
    counts: Int64[np.ndarray, " P"]


def neighbours(superpixels: Int64[np.ndarray, "H W"]) -> Int64[np.ndarray, "E 2"]:
    """Return which superpixels touch, to the side or above each other: each pair once, the smaller number first."""
    pairs = np.concatenate([np.sort(pair, axis=0).T for pair, _ in crossings(superpixels, apart=1)])
    size = int(superpixels.max()) + 1
    return np.stack(np.divmod(np.unique(pairs[:, 0] * size + pairs[:, 1]), size), axis=1)


def find_borders(
    superpixels: Int64[np.ndarray, "H W"],
    colours: Float64[np.ndarray, "H W 3"],
    touching: Int64[np.ndarray, "E 2"],
) -> Borders:
    """Find the borders between superpixels, numbered from 0.

    Args:
        touching: see `neighbours`.
    """
    size = int(superpixels.max()) + 1
    codes, steps = [], []
    for (first, second), (one, other) in crossings(superpixels, apart=ACROSS):
        sign = np.where(first < second, 1.0, -1.0)[:, None]
        codes.append(np.minimum(first, second) * size + np.maximum(first, second))
        steps.append(sign * (colours[one] - colours[other]))
    pairs, places, counts = np.unique(np.concatenate(codes), return_inverse=True, return_counts=True)
    known = np.isin(pairs, touching[:, 0] * size + touching[:, 1])
    summed = sums(places, np.concatenate(steps), len(pairs))
    return Borders(np.stack(np.divmod(pairs[known], size), axis=1), summed[known], counts[known])


def crossings(superpixels: Int64[np.ndarray, "H W"], *, apart: int) -> Iterator[tuple[Pair, tuple[Place, Place]]]:
    """Yield the pixels so far apart, to the side and above each other, that are of different superpixels.

    Yields:
        Superpixels of the first and of the second pixels, then where both are: row and column numbers.
    """
    for down, right in ((0, apart), (apart, 0)):
        height, width = superpixels.shape
        one, other = superpixels[: height - down, : width - right], superpixels[down:, right:]
        rows, columns = np.nonzero(one != other)
        yield (one[rows, columns], other[rows, columns]), ((rows, columns), (rows + down, columns + right))


def join_shaded(
    parts: Int64[np.ndarray, " n"],
    borders: Borders,
    colours: Float64[np.ndarray, "n 3"],
    area: Int64[np.ndarray, " n"],
) -> Int64[np.ndarray, " n"]:
    """Join touching parts without a step of colour between them.

    Two parts differ in their mean colours. At a true border that whole difference occurs within a few pixels; where a
    gradient was cut in two, only as much of it as the gradient rises over these pixels. Whole parts differ more than
    their halves, so what was joined is compared again.

    Args:
        parts: of each superpixel, 1.. without gaps, 0 for the ground; so is what is returned.
        colours: mean of each superpixel.
        area: its pixels.
    """
    while True:
        gradual = gradual_borders(parts, borders, colours, area)
        if not len(gradual):
            return parts
        parts = groups_of(gradual.tolist(), int(parts.max()) + 1)[parts]  # the ground is joined to nothing: it stays 0


def groups_of(pairs: Sequence[tuple[int, int]], count: int) -> Int64[np.ndarray, " count"]:
    """Return the group of each of so many parts once those of a pair are one, 0.. in the order of their first parts.

    A few dozen parts are joined in a fifth of the time that a sparse graph of them takes.
    """
    first = list(range(count))  # a part of the same group with a smaller number, itself for the smallest

    def smallest(part: int) -> int:
        while first[part] != part:
            part = first[part]
        return part

    for one, other in pairs:
        low, high = sorted((smallest(one), smallest(other)))
        first[high] = low
    return np.unique([smallest(part) for part in range(count)], return_inverse=True)[1].astype(np.int64)


def gradual_borders(
    parts: Int64[np.ndarray, " n"],
    borders: Borders,
    colours: Float64[np.ndarray, "n 3"],
    area: Int64[np.ndarray, " n"],
) -> Int64[np.ndarray, "K 2"]:
    """Find parts that touch without a step of colour between them: less than STEP of their difference."""
    size = int(parts.max()) + 1
    areas = np.maximum(np.bincount(parts, weights=area, minlength=size), 1)  # there may be no ground
    means = sums(parts, colours * area[:, None], size) / areas[:, None]
    sides = parts[borders.pairs]
    between = (sides[:, 0] != sides[:, 1]) & (sides > 0).all(axis=1)
    if not between.any():
        return np.zeros((0, 2), dtype=np.int64)
    sides, sign = np.sort(sides[between], axis=1), np.where(sides[between, 0] < sides[between, 1], 1.0, -1.0)
    codes, places = np.unique(sides[:, 0] * size + sides[:, 1], return_inverse=True)
    pairs = np.stack(np.divmod(codes, size), axis=1)
    steps = sums(places, borders.steps[between] * sign[:, None], len(pairs))
    steps /= np.bincount(places, weights=borders.counts[between], minlength=len(pairs))[:, None]
    whole = means[pairs[:, 0]] - means[pairs[:, 1]]
    return np.asarray(pairs[np.linalg.norm(steps, axis=1) < STEP * np.linalg.norm(whole, axis=1)])


def sums(places: Int64[np.ndarray, " M"], values: Float64[np.ndarray, "M D"], size: int) -> Float64[np.ndarray, "S D"]:
    """Sum the values with the same place, for places 0 to size - 1."""
    return np.stack([np.bincount(places, weights=column, minlength=size) for column in values.T], axis=1)
