"""Heatmaps: an anomaly map in colours over its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from stages.core.runtime.maps import bilinear

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, UInt8

# Blue (as normal) to red (anomalous). Lightness falls towards both ends and no green is used, so that people with
# a red-green weakness read it too.
HEAT_COLOURS = np.array(
    [[38, 60, 190], [90, 170, 235], [250, 245, 205], [245, 140, 50], [190, 15, 25]], dtype=np.float32
)
WEAKEST, STRONGEST = 0.25, 0.65  # share of the colour where the map is blue and where it is red


def small_heatmap(
    image: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], *, size: int, low: float, high: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a heatmap whose longer side has `size` pixels.

    Args:
        image: the picture, of any size.
        anomaly_map: of any size.
        size: in pixels.
        low, high: see `lay_over`.

    Raises:
        ValueError: `high` is not above `low`.
    """
    scale = size / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    picture = np.asarray(Image.fromarray(image).resize((width, height), method))
    (values,) = bilinear(np.asarray(anomaly_map, dtype=np.float32)[None], (height, width))
    return lay_over(picture, values, low=low, high=high)


def lay_over(
    image: UInt8[np.ndarray, "H W 3"], values: Float32[np.ndarray, "H W"], *, low: float, high: float
) -> UInt8[np.ndarray, "H W 3"]:
    """Mix a picture with the colours of a map of its size, more of them where the map is high.

    Args:
        image: the picture.
        values: of the map.
        low, high: map values shown as blue and as red.

    Raises:
        ValueError: `high` is not above `low`.
    """
    if not high > low:
        raise ValueError(f"the colour range needs low < high, not {low} and {high}")
    heat = np.clip((values - low) / (high - low), 0.0, 1.0)
    share = (WEAKEST + (STRONGEST - WEAKEST) * heat)[..., None]
    mixed = image * (1 - share) + heat_colours(heat) * share
    return np.rint(mixed).astype(np.uint8)


def heat_colours(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Map values to colours from blue (0) through pale yellow to red (1) in 256 steps; values outside are clipped."""
    steps, anchors = np.linspace(0, 1, 256), np.linspace(0, 1, len(HEAT_COLOURS))
    table = np.stack([np.interp(steps, anchors, channel) for channel in HEAT_COLOURS.T], axis=-1)
    colours: UInt8[np.ndarray, "*shape 3"] = np.rint(table).astype(np.uint8)[
        np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    ]
    return colours
