"""Pictures of a test image: with the true outline, and with the method's heatmap.

One sheet with a few test images of every kind: picture beside heatmap, score and verdict.

Where in an image the branches of a method, or the students of an ensemble, contradict each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float16, Float32, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from stages.core.images.overlays import fit_within, heatmap_overlay, mask_contour, upsample_map
from stages.core.images.reading import read_image
from stages.core.io.truth import KINDS
from stages.core.run.atomic import replacing_file
from stages.evaluation.inputs import colour_range
from stages.evaluation.pixel_metrics import read_mask

COUNT, COLUMNS, SIDE, BORDER, LINE, GAP = 12, 3, 192, 4, 22, 8  # images, cells in a row, then pixels
CORRECT, WRONG, PAPER = (0, 130, 95), (200, 70, 0), (255, 255, 255)  # told apart with a red-green weakness too
VIOLET = (110, 40, 200)  # red, green, blue: neither on the heat scale nor the colour of true defects
ENSEMBLE_VARIANCE = "variance"  # the branch in which a method writes how far the members of its ensemble lie apart
BranchMaps = Mapping[str, Mapping[str, Float16[np.ndarray, "h w"]]]
VEIL = (220, 20, 40, 150)  # red, green, blue, opacity


@dataclass(frozen=True)
class Cell:
    """Pictures shown side by side, none larger than SIDE x SIDE, and the line above them."""

    pictures: tuple[UInt8[np.ndarray, "h w 3"], ...]
    caption: str
    correct: bool


def choose_rows(test: pd.DataFrame, count: int = COUNT) -> Int[np.ndarray, " count"]:
    """Positions of test images spread evenly over the kinds, and within a kind from the lowest score to the highest."""
    ranked = test.reset_index(drop=True).sort_values(["score", "image_id"])
    groups = [ranked.index[ranked["kind"] == kind].to_numpy() for kind in KINDS]
    shares: dict[int, int] = {}
    for done, index in enumerate(sorted(range(len(groups)), key=lambda i: len(groups[i]))):  # small groups first
        shares[index] = min(len(groups[index]), (count - sum(shares.values())) // (len(groups) - done))
    picks = [group[np.linspace(0, len(group) - 1, shares[i]).round().astype(int)] for i, group in enumerate(groups)]
    return np.concatenate(picks)


def write_contact_sheet(path: Path, cells: Sequence[Cell]) -> None:
    """Draw the cells row by row into one JPEG file."""
    pictures = max(len(cell.pictures) for cell in cells)
    width, height = pictures * SIDE + 2 * BORDER, SIDE + LINE + 2 * BORDER
    rows = -(-len(cells) // COLUMNS)
    columns = min(COLUMNS, len(cells))
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), PAPER)
    for position, cell in enumerate(cells):
        row, column = divmod(position, COLUMNS)
        draw_cell(sheet, cell, left=GAP + column * (width + GAP), top=GAP + row * (height + GAP), width=width)
    with replacing_file(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=88)


def draw_cell(sheet: Image.Image, cell: Cell, *, left: int, top: int, width: int) -> None:
    """Draw a framed cell whose upper left corner is (left, top)."""
    draw = ImageDraw.Draw(sheet)
    colour = CORRECT if cell.correct else WRONG
    bottom = top + SIDE + LINE + 2 * BORDER - 1
    draw.rectangle((left, top, left + width - 1, bottom), outline=colour, width=BORDER)
    draw.rectangle((left, top, left + width - 1, top + BORDER + LINE - 1), fill=colour)
    font = ImageFont.load_default(size=14)
    draw.text((left + BORDER + 2, top + 4), fitting(cell.caption, font, width - 2 * BORDER - 4), fill=PAPER, font=font)
    for position, picture in enumerate(cell.pictures):
        free = (SIDE - picture.shape[1]) // 2, (SIDE - picture.shape[0]) // 2
        corner = (left + BORDER + position * SIDE + free[0], top + BORDER + LINE + free[1])
        sheet.paste(Image.fromarray(picture), corner)


def fitting(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text.removesuffix("...")[:-1] + "..."
    return text


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
