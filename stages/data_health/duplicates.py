"""Images that are there twice, the same file or nearly the same picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.data_health.look import Look

CHUNK = 256  # images compared with all others at once


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
    """Pairs of equal files, then of near-duplicates; those across splits first, else by name.

    Near-duplicates agree in their hash and in their thumbnails; the hash alone would also find images of the same
    product in the same place.
    """
    rows = truth.sort_values("image_id").reset_index(drop=True)
    ids, splits, hashes = (rows[name].tolist() for name in ("image_id", "split", "sha256"))
    pairs = [
        Pair(ids[a], ids[b], (splits[a], splits[b]), hashes[a] == hashes[b])
        for a, b in candidates([looks[name] for name in ids], hash_distance, pixel_difference)
    ]
    return sorted(pairs, key=lambda pair: (not pair.leaks, not pair.exact, pair.first, pair.second))


def candidates(looks: Sequence[Look], hash_distance: int, pixel_difference: float) -> list[tuple[int, int]]:
    """Positions (a, b), a < b, of images that look alike."""
    if not looks:
        return []
    signs = np.stack([look.bits for look in looks]).astype(np.float32) * 2 - 1
    found = []
    for start in range(0, len(looks), CHUNK):
        distances = (signs.shape[1] - signs[start : start + CHUNK] @ signs.T) / 2
        for row, column in np.argwhere(distances <= hash_distance).tolist():
            first = start + row
            if first < column:
                gap = np.abs(looks[first].thumbnail - looks[column].thumbnail).mean()
                if gap <= pixel_difference:
                    found.append((first, column))
    return found
