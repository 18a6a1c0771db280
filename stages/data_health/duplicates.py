"""Images that are there twice, the same file or nearly the same picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stages.core.likeness import find_alike
from stages.data_health.look import Look


@dataclass(frozen=True)
class Pair:
    """Two images that are alike; `exact` when their files are equal byte by byte."""

    first: str
    second: str
    splits: tuple[str, str]
    exact: bool

    @property
    def leaks(self) -> bool:
        """Whether an image for judging has also been learned or calibrated on."""
        return self.splits[0] != self.splits[1]


def find_pairs(
    truth: pd.DataFrame, looks: Mapping[str, Look], *, hash_distance: int, pixel_difference: float
) -> list[Pair]:
    """Pairs of equal files, then of near-duplicates (`find_alike`); those across splits first, else by name."""
    rows = truth.sort_values("image_id").reset_index(drop=True)
    ids, splits, hashes = (rows[name].tolist() for name in ("image_id", "split", "sha256"))
    alike = find_alike(
        [looks[name].likeness for name in ids], hash_distance=hash_distance, pixel_difference=pixel_difference
    )
    pairs = [Pair(ids[a], ids[b], (splits[a], splits[b]), hashes[a] == hashes[b]) for a, b in alike]
    return sorted(pairs, key=lambda pair: (not pair.leaks, not pair.exact, pair.first, pair.second))
