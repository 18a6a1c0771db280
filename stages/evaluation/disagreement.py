"""Where in an image the branches of a method, or the students of an ensemble, contradict each other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32, UInt8

from stages.core.overlays import upsample_map
from stages.evaluation.maps import colour_range

VIOLET = (110, 40, 200)  # red, green, blue: neither on the heat scale nor the colour of true defects
ENSEMBLE_VARIANCE = "variance"  # the branch in which a method writes how far the members of its ensemble lie apart
BranchMaps = Mapping[str, Mapping[str, Float16[np.ndarray, "h w"]]]


@dataclass(frozen=True)
class Disagreement:
    """The branches' maps, and the scale of each.

    Attributes:
        maps: by branch and image_id. Of no branch or one nothing can disagree, but for the branch `ENSEMBLE_VARIANCE`,
            which is a disagreement itself.
        ranges: of each branch, the map values that its own heatmap would show as pure blue and as pure red.
    """

    maps: BranchMaps
    ranges: Mapping[str, tuple[float, float]]

    def of(self, image_id: str) -> Float32[np.ndarray, "H W"] | None:
        """How far the branches lie apart in each cell, as a share of the scale from blue to red.

            u_b = min(max((m_b - low_b) / (high_b - low_b), 0), 1),    D = max_b u_b - min_b u_b

        with m_b the map of branch b. low_b is the median of the cells of normal validation images and high_b the
        hottest spot that all but the budgeted share of these images stay below (`colour_range`), so that D is 1 where
        one branch sees what normal images hardly ever show and another one nothing unusual, and 0 where all see nothing
        or all an anomaly, however strong. It says where to look twice, and is no probability.

        Returns:
            Values in [0, 1] in the cells of the finest branch (others are interpolated); None with fewer than two.
            Of an ensemble's variance alone D is u.
        """
        ensemble = set(self.maps) == {ENSEMBLE_VARIANCE}
        if len(self.maps) < 2 and not ensemble:
            return None
        chosen = {name: maps[image_id] for name, maps in self.maps.items()}
        height, width = max(one.shape for one in chosen.values())
        shares = []
        for name, one in chosen.items():
            low, high = self.ranges[name]
            values = upsample_map(one, height=height, width=width)
            shares.append(np.clip((values - low) / (high - low), 0.0, 1.0))
        gap: Float32[np.ndarray, "H W"] = np.max(shares, axis=0) - (0.0 if ensemble else np.min(shares, axis=0))
        return gap.astype(np.float32)


def fit_disagreement(joined: pd.DataFrame, maps: BranchMaps, *, budget: float) -> Disagreement:
    """Take each branch's scale from normal validation images.

    Args:
        budget: share of normal images that may be called anomalous.
    """
    return Disagreement(maps, {name: colour_range(joined, own, budget=budget) for name, own in maps.items()})


def violet_veil(gap: Float32[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 4"]:
    """A disagreement in [0, 1] as a picture to lay over another: violet, the more opaque the higher it is."""
    veil = np.empty((*gap.shape, 4), dtype=np.uint8)
    veil[..., :3] = VIOLET
    veil[..., 3] = np.rint(220 * gap)
    return veil
