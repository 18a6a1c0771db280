"""Cut photographs of the eye to the round retina, as APTOS2019's protocol does before anything else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stages.core.images.memory import threads_for
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.reading import read_image

DARK = 30  # sum of the three channels up to which a pixel belongs to the frame around the retina
MARGIN, SIZE = 5, 512  # pixels
IMAGES = "train_images"

Picture = UInt8[np.ndarray, "H W 3"]


def crop_folder(dataset: Path) -> None:
    """Replace every PNG file of `train_images` by its crop.

    Raises:
        UserError: some cannot be read or are all dark; all of them are listed.
    """
    paths = sorted((dataset / IMAGES).glob("*.png"))
    with ThreadPoolExecutor(threads_for(paths)) as pool:
        problems = list(progress(pool.map(crop_file, paths), total=len(paths), label="crop to the retina"))
    if any(problems):
        listed = "\n  - ".join(problem.removeprefix(f"{dataset}/") for problem in problems if problem)
        raise UserError(f"nothing was written, images that cannot be cropped:\n  - {listed}")


def crop_file(path: Path) -> str | None:
    """Crop one file in place; return what is wrong with it, None where nothing is."""
    try:
        Image.fromarray(crop_to_fundus(read_image(path))).save(path)
    except UserError as error:
        return str(error)
    except ValueError as error:
        return f"{path}: {error}: remove it or set `crop: none`"
    return None


def crop_to_fundus(image: Picture) -> UInt8[np.ndarray, "512 512 3"]:
    """Cut out the square around the largest bright region, scaled to 512 x 512 pixels; black beyond the image's edge.

    Its centre is the region's centroid, its side the longer one of the region's box and 5 pixels on either side.
    As ReContrast prepares the data (Guo et al., NeurIPS 2023).

    Raises:
        ValueError: no pixel is bright.
    """
    bright = image.sum(axis=2, dtype=np.int32) > DARK
    _, _, boxes, centroids = cv2.connectedComponentsWithStats(bright.astype(np.uint8), connectivity=8)
    if len(boxes) == 1:
        raise ValueError("is dark all over, so there is no retina to crop to")
    largest = 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())  # 0 is the dark rest
    half = max(boxes[largest, cv2.CC_STAT_WIDTH], boxes[largest, cv2.CC_STAT_HEIGHT]) / 2
    x, y = centroids[largest]
    left, top = (int(centre - half) - MARGIN for centre in (x, y))
    right, bottom = (int(centre + half) + MARGIN for centre in (x, y))
    height, width, _ = image.shape
    above, before = max(0, -top), max(0, -left)
    padded = np.pad(image, ((above, max(0, bottom - height)), (before, max(0, right - width)), (0, 0)))
    square = padded[top + above : bottom + above, left + before : right + before]
    return np.asarray(cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
