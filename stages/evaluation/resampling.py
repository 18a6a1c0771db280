"""Intervals by drawing the test images anew: stratified, with a stated seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

CHUNK = 100  # resamples held at once


@dataclass(frozen=True)
class Interval:
    """Percentile interval of a metric."""

    low: float
    high: float


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        resamples: number of draws.
        confidence: share of the draws inside of an interval.
    """

    resamples: int
    confidence: float
    seed: int

    def interval(self, values: Float[np.ndarray, " resamples"]) -> Interval:
        """The percentile interval of resampled values."""
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return Interval(float(low), float(high))

    def draws(self, *sizes: int) -> Iterator[tuple[Int64[np.ndarray, "chunk n"], ...]]:
        """How often each member of each stratum is drawn, CHUNK resamples at a time; strata are drawn apart.

        Equal arguments give equal draws, so that two metrics on the same images are resampled together.
        """
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, CHUNK):
            count = min(CHUNK, self.resamples - start)
            yield tuple(
                generator.multinomial(size, np.full(size, 1 / size), size=count)
                if size
                else np.zeros((count, 0), dtype=np.int64)
                for size in sizes
            )


def auroc_interval(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], resampling: Resampling
) -> Interval:
    """Percentile bootstrap of the AUROC; normal and anomalous images are drawn apart, so both classes keep their size.

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
