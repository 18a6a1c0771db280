"""Bootstrap intervals: test images are resampled with replacement, stratum by stratum, with a stated seed.

Pixel metrics resample whole images, too, because the pixels of one image are not independent. Each image is kept as
its counts at a few hundred thresholds (10 kB), so that a resample is a weighted sum of rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt16

from stages.evaluation.pixel_counts import LEVELS, PixelCounts, Region
from stages.evaluation.pixel_counts import levels as levels_of

CHUNK = 100  # resamples held at once
KEPT = 4  # sets of draws: one for each group of images
RATES = np.geomspace(1e-5, 1.0, 160)  # false-positive rates at which curves are kept; even steps of the logarithm
RECALLS = np.linspace(0.0, 1.0, 65)[1:]
Table = Float64[np.ndarray, "images thresholds"]


@dataclass(frozen=True)
class Interval:
    """Percentile interval of a metric."""

    low: float
    high: float


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        resamples: how many there are.
        confidence: share of the resamples inside an interval.
    """

    resamples: int
    confidence: float
    seed: int

    def interval(self, values: Float[np.ndarray, " resamples"]) -> Interval:
        """Return the percentile interval of resampled values."""
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return Interval(float(low), float(high))

    def draws(self, *sizes: int) -> Iterator[tuple[Int64[np.ndarray, "chunk n"], ...]]:
        """Yield how often each member of each stratum is drawn, CHUNK resamples at a time; strata keep their sizes.

        Equal arguments give equal draws, so that two metrics on the same images are resampled together.
        """
        for start in range(0, self.resamples, CHUNK):
            rows = slice(start, start + CHUNK)
            yield tuple(one[rows].astype(np.int64) for one in all_draws(self.seed, self.resamples, sizes))


@lru_cache(maxsize=KEPT)
def all_draws(seed: int, resamples: int, sizes: tuple[int, ...]) -> tuple[UInt16[np.ndarray, "resamples n"], ...]:
    """Return how often each member of each stratum is drawn in each resample; kept, as every metric asks for the same.

    Args:
        seed: of the generator.
        resamples: how many.
        sizes: of the strata, below 65,536.
    """
    generator = np.random.default_rng(seed)
    drawn: list[list[UInt16[np.ndarray, "chunk n"]]] = [[] for _ in sizes]
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        for size, chunks in zip(sizes, drawn, strict=True):
            even = np.full(size, 1 / max(size, 1))
            counts = generator.multinomial(size, even, size=count) if size else np.zeros((count, 0))
            chunks.append(counts.astype(np.uint16))
    return tuple(np.concatenate(chunks) for chunks in drawn)


def auroc_interval(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], resampling: Resampling
) -> Interval:
    """Return the percentile bootstrap interval of the AUROC; normal and anomalous images are two strata.

    Where every pair is ordered rightly, so is every resample, and the interval has no width.

    Args:
        normal, anomalous: finite scores, at least one each.
    """
    values = []
    scores = np.concatenate([normal, anomalous])
    level = np.unique(scores, return_inverse=True)[1]
    depth = int(level.max()) + 1
    for draw_normal, draw_anomalous in resampling.draws(len(normal), len(anomalous)):
        below = add_up(draw_normal, level[: len(normal)], depth)
        above = add_up(draw_anomalous, level[len(normal) :], depth)
        wins = above * (np.cumsum(below, axis=1) - below / 2)  # a tie counts one half
        values.append(wins.sum(axis=1) / (len(normal) * len(anomalous)))
    return resampling.interval(np.concatenate(values))


def add_up(
    counts: Int64[np.ndarray, "chunk n"], level: Int64[np.ndarray, " n"], depth: int
) -> Float[np.ndarray, "chunk depth"]:
    """Sum the counts of members on the same level."""
    order = np.argsort(level, kind="stable")
    levels, starts = np.unique(level[order], return_index=True)
    summed = np.zeros((len(counts), depth))
    summed[:, levels] = np.add.reduceat(counts[:, order], starts, axis=1)
    return summed


@dataclass(frozen=True)
class ImageCurves:
    """What lies at or above each threshold (highest first), one row for each image.

    Attributes:
        normal, defect: pixels.
        overlap, saturated: sums of the regions' shares, and of the annotated regions' saturating shares.
        regions, annotated: numbers of regions.
    """

    normal: Table
    defect: Table
    overlap: Table
    saturated: Table
    regions: Float64[np.ndarray, " images"]
    annotated: Float64[np.ndarray, " images"]


@dataclass(frozen=True)
class Thresholds:
    """A few of the levels of pixel values, at which images are counted.

    Attributes:
        levels: highest first.
        reached: of every level the position of the highest threshold that it reaches.
    """

    levels: Int64[np.ndarray, " thresholds"]
    reached: Int64[np.ndarray, " levels"]

    def count(
        self, anomaly_map: Float32[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"], annotated: Sequence[Region]
    ) -> PixelCounts:
        """Count one image between the thresholds, highest first."""
        counts = PixelCounts.empty(len(self.levels))
        counts.count_ranks(self.reached[levels_of(anomaly_map)], mask, annotated)
        return counts

    def curves(self, images: Sequence[PixelCounts]) -> ImageCurves:
        """Add up each image's counts from the highest threshold down."""
        normal, defect, overlap, saturated = (
            np.array([np.cumsum(getattr(one, name)) for one in images], dtype=np.float64).reshape(-1, len(self.levels))
            for name in ("normal", "defect", "region_share", "saturated_share")
        )
        regions, annotated = (
            np.array([getattr(one, name) for one in images], dtype=np.float64) for name in ("regions", "annotated")
        )
        return ImageCurves(normal, defect, overlap, saturated, regions, annotated)


def thresholds_of(counts: PixelCounts) -> Thresholds:
    """Choose the levels at which all images together reach RATES and RECALLS, and the lowest level that is used."""
    chosen = [np.array([LEVELS - 1])]
    for values, shares in ((counts.normal, RATES), (counts.defect, RECALLS)):
        if values.any():
            reached = np.cumsum(values[::-1]) / values.sum()
            chosen.append(np.searchsorted(reached, np.minimum(shares, reached[-1])))
    levels = LEVELS - 1 - np.unique(np.concatenate(chosen[1:] or chosen))
    return Thresholds(levels, np.searchsorted(-levels, -np.arange(LEVELS), side="left"))


def pixel_interval(
    strata: Sequence[ImageCurves], value: float, *, table: str, number: str | None, limit: float, resampling: Resampling
) -> Interval:
    """Return the bootstrap interval of the area under a curve over the false-positive rate, divided by `limit`.

    Images are resampled. The areas are shifted by what the few thresholds cost on the images themselves.

    Args:
        strata: images resampled by themselves: the normal ones, and each kind of anomaly.
        value: of the metric on all pixels.
        table: the curve, "defect", "overlap" or "saturated".
        number: what divides it, "regions" or "annotated"; None for its own highest value.
    """
    sizes = [len(stratum.normal) for stratum in strata]
    normal, curve = (np.concatenate([getattr(one, name) for one in strata]) for name in ("normal", table))
    whole = curve[:, -1] if number is None else np.concatenate([getattr(one, number) for one in strata])

    def areas(weights: Float64[np.ndarray, "draws images"]) -> Float64[np.ndarray, " kept"]:
        rates, curves, totals = weights @ normal, weights @ curve, weights @ whole
        kept = (totals > 0) & (rates[:, -1] > 0)
        return areas_up_to(rates[kept] / rates[kept, -1:], curves[kept] / totals[kept, None], limit) / limit

    drawn = np.concatenate([areas(np.concatenate(draw, axis=1).astype(float)) for draw in resampling.draws(*sizes)])
    (coarse,) = areas(np.ones((1, sum(sizes))))
    return resampling.interval(np.clip(drawn + (value - coarse), 0.0, 1.0))


def areas_up_to(
    x: Float64[np.ndarray, "curves points"], y: Float64[np.ndarray, "curves points"], limit: float
) -> Float64[np.ndarray, " curves"]:
    """Compute `area_up_to` of many curves that begin at (0, 0)."""
    x, y = (np.pad(values, ((0, 0), (1, 0))) for values in (x, y))
    step = np.diff(x, axis=1)
    width = np.clip(limit - x[:, :-1], 0.0, step)
    share = np.divide(width, step, out=np.zeros_like(step), where=step > 0)
    areas: Float64[np.ndarray, " curves"] = (width * (y[:, :-1] + np.diff(y, axis=1) * share / 2)).sum(axis=1)
    return areas
