"""Pictures of anomalies: the heatmap over the picture, and the outline of a defect's mask."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from stages.core.runtime.heatmaps import lay_over

CONTOUR_COLOUR = (255, 0, 200)  # magenta: neither on the heat scale nor common in products


def upsample_map(anomaly_map: Float[np.ndarray, "h w"], *, height: int, width: int) -> Float32[np.ndarray, "H W"]:
    """Interpolate bilinearly; map and result cover the same area (`align_corners=False`, borders repeated).

    Args:
        anomaly_map: of any size.
        height: of the result in pixels, at least 1.
        width: of the result in pixels, at least 1.
    """
    values: Float32[np.ndarray, "H W"] = cv2.resize(
        np.asarray(anomaly_map, dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return values


def fit_within(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "h w 3"]:
    """Shrink or enlarge an image until its longer side has `size` pixels; the aspect ratio stays."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted: UInt8[np.ndarray, "h w 3"] = cv2.resize(image, shape, interpolation=method)
    return fitted


def heatmap_overlay(
    image: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], *, low: float, high: float
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay a map in colours from blue (`low` and below) to red (`high` and above) over its picture.

    Args:
        image: the picture.
        anomaly_map: of any size.
        low: a map value; the same for every image of a category, or the pictures cannot be compared.
        high: a map value; the same for every image of a category.

    Raises:
        ValueError: `high` is not above `low`.
    """
    values = upsample_map(anomaly_map, height=image.shape[0], width=image.shape[1])
    return lay_over(image, values, low=low, high=high)


def mask_contour(
    image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "h w"], *, thickness: int = 1
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the outlines of the mask's regions into a copy of the image; the mask is scaled to the image."""
    height, width = image.shape[:2]
    scaled = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(scaled, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn: UInt8[np.ndarray, "H W 3"] = cv2.drawContours(image.copy(), outlines, -1, CONTOUR_COLOUR, thickness)
    return drawn
