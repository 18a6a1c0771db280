"""One sheet with a few test images of every kind: picture beside heatmap, score and verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from stages.core.artifacts.truth import KINDS
from stages.core.running.atomic import replacing_file

COUNT, COLUMNS, SIDE, BORDER, LINE, GAP = 12, 3, 192, 4, 22, 8  # images, cells in a row, then pixels
CORRECT, WRONG, PAPER = (0, 130, 95), (200, 70, 0), (255, 255, 255)  # told apart with a red-green weakness too


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
