"""How the light of each image differs from that of the others."""

import numpy as np
from jaxtyping import Float64, UInt8

TINT = 1.25  # a channel's gain against the mean of the three, at most: more is the product's colour, not the light's
DARK = 20  # grey levels: darker places tell of noise, not of light
STEP = 4  # every so many rows and columns tell enough


def gains_of_light(pixels: UInt8[np.ndarray, "N H W 3"]) -> Float64[np.ndarray, "N 3"]:
    """What light multiplies each channel of each image by, compared with the images' median at every place.

    Most places of a product's image show what they show in the other images, so the median of their ratios is that of
    exposure and white balance, whatever the other places show. All three are 1 where one channel differs from the
    others by more than light does: then more than half of the image has a colour of its own. They are 1, too, where
    all places are dark.

    Args:
        pixels: RGB.
    """
    levels = pixels[:, ::STEP, ::STEP].reshape(len(pixels), -1, 3).astype(np.float64)
    common = np.median(levels, axis=0)
    lit = common.min(axis=1) >= DARK
    if not lit.any():
        return np.ones((len(pixels), 3))
    gains = np.log(np.median(levels[:, lit].clip(min=1) / common[lit], axis=1))
    tint = np.abs(gains - gains.mean(axis=1, keepdims=True)).max(axis=1)
    gains[tint > np.log(TINT)] = 0
    return np.asarray(np.exp(gains))
