"""Pictures of test images: with the true outline, with a method's heatmap, and where its branches disagree.

A contact sheet shows a few test images of every kind: picture next to heatmap, score and verdict.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from stages.core.images.overlays import fit_within, mask_contour, upsample_map
from stages.core.io.truth import KINDS
from stages.core.run.atomic import replacing_file
from stages.core.runtime.reading import read_image
from stages.evaluation.inputs import BranchMaps, colour_range
from stages.evaluation.pixel_metrics import read_mask

COUNT, COLUMNS, SIDE, BORDER, LINE, GAP = 12, 3, 192, 4, 22, 8  # images, cells in a row, then pixels
CORRECT, WRONG, PAPER = (0, 130, 95), (200, 70, 0), (255, 255, 255)  # told apart with a red-green weakness too
VIOLET = (110, 40, 200)  # red, green, blue: neither on the heat scale nor the colour of true defects
ENSEMBLE_VARIANCE = "variance"  # the branch in which a method writes how far the members of its ensemble lie apart
DEFECT = (220, 20, 40, 150)  # of true masks: red, green, blue, opacity
QUALITY = 88  # JPEG


@dataclass(frozen=True)
class Cell:
    """Pictures shown side by side, none larger than SIDE x SIDE, and the line above them."""

    pictures: tuple[UInt8[np.ndarray, "h w 3"], ...]
    caption: str
    correct: bool


def choose_rows(test: pd.DataFrame, count: int = COUNT) -> Int[np.ndarray, " count"]:
    """Choose test images spread evenly over the kinds, and within a kind from the lowest score to the highest.

    Returns:
        Positions in `test`.
    """
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
        sheet.save(temporary, format="JPEG", quality=QUALITY)


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
    """Cut the text with an ellipsis where it is wider than `width` pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text.removesuffix("...")[:-1] + "..."
    return text


@dataclass(frozen=True)
class Disagreement:
    """The branches' maps, and the scale of each.

    Attributes:
        maps: by branch and image_id. One branch alone cannot disagree, except `ENSEMBLE_VARIANCE`, which is a
            disagreement itself.
        ranges: of each branch, the map values that its own heatmap would show as pure blue and as pure red.
    """

    maps: BranchMaps
    ranges: Mapping[str, tuple[float, float]]

    def of(self, image_id: str) -> Float32[np.ndarray, "H W"] | None:
        """Return how far the branches lie apart in each cell, as a share of the scale from blue to red.

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


def disagreement_overlay(gap: Float32[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 4"]:
    """Turn a disagreement in [0, 1] into a picture to lay over another: violet, the more opaque the higher it is."""
    overlay = np.empty((*gap.shape, 4), dtype=np.uint8)
    overlay[..., :3] = VIOLET
    overlay[..., 3] = np.rint(220 * gap)
    return overlay


@dataclass(frozen=True)
class Scene:
    """One image, whatever the methods say of it.

    Attributes:
        image: in the size of the pictures.
        mask: where it is anomalous, in the size of the image file; None without a mask.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "H W"] | None

    def outlined(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Draw the outline of the true mask, if there is one, into a picture of the scene."""
        return picture if self.mask is None else mask_contour(picture, self.mask)

    @cached_property
    def picture(self) -> bytes:
        """The outlined image as a JPEG file, the same for all methods."""
        return as_jpeg(self.outlined(self.image))

    @cached_property
    def true_mask(self) -> bytes | None:
        """The overlay of the true mask as a PNG file, the same for all methods; None without a mask."""
        overlay = mask_overlay(self)
        return None if overlay is None else as_png(overlay)


def read_scene(row: Mapping[Any, Any], image_files: Path, mask_files: Path, *, size: int) -> Scene:
    """Read the image and the mask of one row of the truth.

    Args:
        size: pixels of the longer side.

    Raises:
        UserError: the image or a mask cannot be read.
    """
    image = fit_within(read_image(image_files / row["file"]), size)
    if not len(row["mask_files"]):
        return Scene(image, None)
    mask = read_mask(mask_files, list(row["mask_files"]), height=row["height"], width=row["width"])
    return Scene(image, mask)


def mask_overlay(scene: Scene) -> UInt8[np.ndarray, "h w 4"] | None:
    """Return the true mask in the size of the picture, red and half transparent; small defects stay visible."""
    if scene.mask is None:
        return None
    height, width = scene.image.shape[:2]
    share = cv2.resize(scene.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    overlay = np.zeros((height, width, 4), dtype=np.uint8)
    overlay[share > 0] = DEFECT
    return overlay


def write_picture(path: Path, content: bytes) -> None:
    """Write a picture that `as_jpeg` or `as_png` made."""
    with replacing_file(path) as temporary:
        temporary.write_bytes(content)


def as_jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return an RGB image as the content of a file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="JPEG", quality=QUALITY)
    return content.getvalue()


def as_png(image: UInt8[np.ndarray, "h w 4"]) -> bytes:
    """Return an image with transparency as the content of a file."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG", optimize=True)
    return content.getvalue()
