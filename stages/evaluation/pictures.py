"""Pictures of a test image: with the true outline, and with the method's heatmap."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float16, UInt8
from PIL import Image

from stages.core.image_files.reading import read_image
from stages.core.overlays import fit_within, heatmap_overlay, mask_contour
from stages.core.running.atomic import replacing_file
from stages.evaluation.disagreement import Disagreement, violet_veil
from stages.evaluation.masks import read_mask

VEIL = (220, 20, 40, 150)  # red, green, blue, opacity


@dataclass(frozen=True)
class Drawn:
    """Pictures of one image.

    Attributes:
        picture: the image with the outline of its true mask, if it has one.
        heatmap: the image under its anomaly map, without the outline, which is no part of the prediction.
        outlined_heatmap: both.
        mask: the true mask as a red veil, transparent where nothing is wrong; None without a mask.
        disagreement: of the branches' maps as a violet veil, in the cells of the maps; None without several branches.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    heatmap: UInt8[np.ndarray, "h w 3"] | None
    outlined_heatmap: UInt8[np.ndarray, "h w 3"] | None
    mask: UInt8[np.ndarray, "h w 4"] | None
    disagreement: UInt8[np.ndarray, "H W 4"] | None


@dataclass(frozen=True)
class Drawer:
    """Where pictures come from.

    Attributes:
        image_files, mask_files: folders that the truth's `file` and `mask_files` lie in.
        maps: by image_id; empty when the method makes none.
        low, high: map values shown as blue and as red.
        disagreement: of the method's branches.
    """

    image_files: Path
    mask_files: Path
    maps: Mapping[str, Float16[np.ndarray, "h w"]]
    low: float
    high: float
    disagreement: Disagreement

    def draw(self, row: Mapping[Any, Any], *, size: int) -> Drawn:
        """Draw one row of the joined table.

        Args:
            size: pixels of the longer side.

        Raises:
            UserError: the image or a mask cannot be read.
        """
        image = fit_within(read_image(self.image_files / row["file"]), size)
        mask = self._mask(row)
        picture = image if mask is None else mask_contour(image, mask)
        veil = None if mask is None else red_veil(mask, height=image.shape[0], width=image.shape[1])
        if not self.maps:
            return Drawn(picture, None, None, veil, None)
        heatmap = heatmap_overlay(image, self.maps[row["image_id"]], low=self.low, high=self.high)
        outlined = heatmap if mask is None else mask_contour(heatmap, mask)
        gap = self.disagreement.of(row["image_id"])
        return Drawn(picture, heatmap, outlined, veil, None if gap is None else violet_veil(gap))

    def _mask(self, row: Mapping[Any, Any]) -> Bool[np.ndarray, "H W"] | None:
        if not len(row["mask_files"]):
            return None
        return read_mask(self.mask_files, list(row["mask_files"]), height=row["height"], width=row["width"])


def red_veil(mask: Bool[np.ndarray, "H W"], *, height: int, width: int) -> UInt8[np.ndarray, "h w 4"]:
    """The mask in the size of a picture, red and half transparent; small defects stay visible."""
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    veil = np.zeros((height, width, 4), dtype=np.uint8)
    veil[share > 0] = VEIL
    return veil


def write_jpeg(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write an RGB image."""
    with replacing_file(path) as temporary:
        Image.fromarray(image).save(temporary, format="JPEG", quality=88)


def write_png(path: Path, image: UInt8[np.ndarray, "h w 4"]) -> None:
    """Write an image with transparency."""
    with replacing_file(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", optimize=True)
