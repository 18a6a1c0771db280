"""Made-up products with defects that show in the raw pixels, in the plain folder layout, for methods that learn from
labelled anomalies."""

from pathlib import Path

import cv2
import numpy as np

SIZE = 96
COUNTS = {"good": 50, "defect": 50}


def write_toy_part(root: Path, *, period: int, seed: int, unmasked: int = 0) -> None:
    """Striped plates; defects carry a dark blot of their own size at a random place, and a mask.

    Args:
        period: of the stripes in pixels, so that products differ.
        unmasked: anomalies, the first ones by name, that get no mask.
    """
    for folder in ("images/good", "images/defect", "masks"):
        (root / folder).mkdir(parents=True)
    random = np.random.default_rng(seed)
    for kind, count in COUNTS.items():
        for number in range(count):
            image, mask = draw(kind == "defect", period=period, random=random)
            cv2.imwrite(str(root / "images" / kind / f"{number:03d}.png"), image)
            if kind == "defect" and number >= unmasked:
                cv2.imwrite(str(root / "masks" / f"{number:03d}.png"), mask)


def draw(defective: bool, *, period: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image and its mask, 0 or 255."""
    stripes = 150 + 40 * (((np.arange(SIZE) + random.integers(period)) // (period // 2)) % 2)
    image = np.repeat(np.repeat(stripes[None, :, None], SIZE, axis=0), 3, axis=2).astype(np.float64)
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    if defective:
        centre = tuple(int(v) for v in random.integers(20, SIZE - 20, 2))
        cv2.circle(mask, centre, int(random.integers(9, 15)), 255, -1)
        image[mask > 0] = (40, 30, 90)
    noisy = image + random.normal(0, 6, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), mask
