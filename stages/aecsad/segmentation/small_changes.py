"""Small changes of an image and its labels, as in CSAD's training of the segmentation."""

import cv2
import numpy as np
from jaxtyping import UInt8

Image = UInt8[np.ndarray, "H W 3"]
LabelMap = UInt8[np.ndarray, "H W"]

PROBABILITY = 0.5  # of each of the two changes
SHIFT, SCALE = 0.01, 0.01  # shares of the image's side
ROTATION = 2.0  # degrees
LIGHT = 0.05  # of contrast, and of brightness as a share of the full range


def change_slightly(image: Image, labels: LabelMap, *, random: np.random.Generator) -> tuple[Image, LabelMap]:
    """Shift, scale and turn both, and change the image's brightness and contrast, each of the two in half of the cases.

    Labels are warped by nearest neighbour; what comes in from outside is black, and background.
    """
    if random.random() < PROBABILITY:
        image, labels = warp_slightly(image, labels, random=random)
    if random.random() < PROBABILITY:
        contrast, brightness = random.uniform(-LIGHT, LIGHT, size=2)
        changed = image.astype(np.float32) * np.float32(1 + contrast) + np.float32(255 * brightness)
        image = np.clip(changed.round(), 0, 255).astype(np.uint8)
    return image, labels


def warp_slightly(image: Image, labels: LabelMap, *, random: np.random.Generator) -> tuple[Image, LabelMap]:
    """One affine map for both, about the image's centre."""
    height, width = labels.shape
    angle, scale = random.uniform(-ROTATION, ROTATION), 1 + random.uniform(-SCALE, SCALE)
    warp = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    right, down = random.uniform(-SHIFT, SHIFT, size=2)
    warp[:, 2] += (right * width, down * height)
    moved = cv2.warpAffine(image, warp, (width, height), flags=cv2.INTER_LINEAR)
    return moved, cv2.warpAffine(labels, warp, (width, height), flags=cv2.INTER_NEAREST)
