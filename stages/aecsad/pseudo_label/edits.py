"""Logical anomalies made in pictures: a part cut out, pasted a second time, or exchanged for another kind or size.

Parts are those that *any* proposer found, drawn evenly: edits of one proposer's parts alone would be seen by it even
where its parts are none. The lengths below are shares of the image's shorter side; together they define the edits,
and so the choice of the proposer and the weights of grids and branches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from stages.aecsad.model.edited import KINDS, EditedPictures
from stages.core.images.regions import Region, connected_regions

SHARES = (0.002, 0.12)  # of the image that a part covers which is edited
PER_KIND = 20  # pictures of each kind at least, where images are few several of each, but no more than
MOST_OF_AN_IMAGE = 6
RIM = 0.012  # around a part that goes with it: blur, and most of a shadow
FEATHER = 0.004  # deviation of a Gaussian, of a pasted part's edge
REACH = 5  # pixels that the inpainting looks at
PLACES = 30  # tried for a paste
FREE = 0.1  # share of a paste on other parts, below which a place is free
MOST_COVERED = 0.5  # share of a paste that may lie on other parts, or on the one that it was copied from
OTHER_SIZE = (1.5, 4.0)  # ratio of areas of an exchange
RESIZED = (0.7, 1.4)  # lengths of the same part where the images have no other size

Item = TypeVar("Item")
Image = UInt8[np.ndarray, "H W 3"]
Parts = Mapping[str, Sequence[Region]]  # by every proposer that found any


@dataclass(frozen=True)
class Place:
    """Where a part comes to lie: its centre (x, y), and its length there in units of its own."""

    centre: tuple[float, float]
    scale: float = 1.0


def edit_pictures(
    images: UInt8[np.ndarray, "V H W 3"],
    found: Mapping[str, UInt16[np.ndarray, "V H W"]],
    image_ids: Sequence[str],
    *,
    random: np.random.Generator,
) -> EditedPictures:
    """Make edited pictures of each image, as many of each kind; an edit that is not possible is skipped.

    Args:
        images: normal ones.
        found: instance maps by every proposer.
        image_ids: of the images.

    Returns:
        None of an image in which nobody found a part of plausible size, see SHARES.
    """
    every = [{name: plausible_parts(values[row]) for name, values in found.items()} for row in range(len(images))]
    parts = [{name: regions for name, regions in of_image.items() if regions} for of_image in every]
    rounds = min(MOST_OF_AN_IMAGE, -(-PER_KIND // max(len(images), 1)))
    made: list[tuple[str, str, Image]] = []
    for row, (image, image_id) in enumerate(zip(images, image_ids, strict=True)):
        for kind in KINDS * (rounds if parts[row] else 0):
            edited = edit(kind, row, images, parts, random)
            if edited is not None and (edited != image).any():
                made.append((image_id, kind, edited))
    pictures = np.stack([one for *_, one in made]) if made else np.zeros((0, *images.shape[1:]), dtype=np.uint8)
    return EditedPictures(tuple(source for source, *_ in made), tuple(kind for _, kind, _ in made), pictures)


def draw(items: Sequence[Item], random: np.random.Generator) -> Item:
    """Draw one of them."""
    return items[int(random.integers(len(items)))]


def plausible_parts(values: UInt16[np.ndarray, "H W"]) -> list[Region]:
    """Return the instances whose share of the image lies within SHARES."""
    low, high = SHARES
    return [part for part in connected_regions(values) if low <= part.share <= high]


def edit(
    kind: str, row: int, images: UInt8[np.ndarray, "V H W 3"], parts: Sequence[Parts], random: np.random.Generator
) -> Image | None:
    """Return a copy of one image with one edit, None where there is no place or no other part."""
    image, of_proposers = images[row], parts[row]
    proposer = draw(list(of_proposers), random)
    part = draw(of_proposers[proposer], random)
    if kind == "cut":
        return cut_out(image, part.mask)
    if kind == "pasted":
        centres = [one.centre for of_image in parts for one in of_image.get(proposer, [])]
        place = find_place(part, of_proposers[proposer], centres, random)
        return None if place is None else paste(image, image, part, place)
    other_row = int(random.integers(len(images)))
    others = [one for one in parts[other_row].get(proposer, []) if of_other_size(one, part)]
    if others:
        return paste(cut_out(image, part.mask), images[other_row], draw(others, random), Place(part.centre))
    return paste(cut_out(image, part.mask), image, part, Place(part.centre, draw(RESIZED, random)))


def of_other_size(one: Region, other: Region) -> bool:
    """Return whether two parts differ in area as OTHER_SIZE says."""
    ratio = max(one.area, other.area) / min(one.area, other.area)
    return OTHER_SIZE[0] <= ratio <= OTHER_SIZE[1]


def cut_out(image: Image, mask: Bool[np.ndarray, "H W"]) -> Image:
    """Fill a part and its rim from around it (Telea, "An Image Inpainting Technique", 2004); the rest stays.

    Only a box around the part is computed. A part that leaves nothing around it in the box is not filled.
    """
    hole = widened(mask, RIM)
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    around = 2 * REACH
    box = tuple(slice(max(line[0] - around, 0), line[-1] + 1 + around) for line in (rows, columns))
    if hole[box].all():
        return image.copy()
    filled = image.copy()
    inpainted = cv2.inpaint(np.ascontiguousarray(image[box]), hole[box].astype(np.uint8), REACH, cv2.INPAINT_TELEA)
    filled[hole] = inpainted[hole[box]]
    return filled


def paste(image: Image, source: Image, part: Region, place: Place) -> Image:
    """Copy a part of `source` with a feathered edge; pixels it does not reach stay."""
    height, width = image.shape[:2]
    warp = np.array([[place.scale, 0, 0], [0, place.scale, 0]])
    warp[:, 2] = np.array(place.centre) - place.scale * np.array(part.centre)
    feather = max(FEATHER * min(height, width), 0.5)
    soft = cv2.GaussianBlur(widened(part.mask, FEATHER).astype(np.float32), (0, 0), feather)
    share = cv2.warpAffine(soft, warp, (width, height))[..., None]
    copy = cv2.warpAffine(source, warp, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mixed = ((1 - share) * image + share * copy).round().astype(np.uint8)
    return np.where(share > 0, mixed, image)


def widened(mask: Bool[np.ndarray, "H W"], share: float) -> Bool[np.ndarray, "H W"]:
    """Dilate by a share of the shorter side, at least a pixel."""
    reach = max(round(share * min(mask.shape)), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc), dtype=bool)


def find_place(
    part: Region, parts: Sequence[Region], wanted: Sequence[tuple[float, float]], random: np.random.Generator
) -> Place | None:
    """Return the first free place inside the image of PLACES, else the least covered, None where all are covered.

    Places are where parts lie in some image, and somewhat around them: a further part lies among the others, and not
    where no part ever is, which everybody would notice.

    Args:
        part: to paste.
        parts: of the image, by the same proposer.
        wanted: centres of the parts of all images.
        random: draws the places.
    """
    height, width = part.size
    occupied = np.zeros(part.size, dtype=bool)
    for one in parts:
        one.paint(occupied, 1)
    top, left, bottom, right = part.box
    rows, columns = np.nonzero(part.inside)
    own, least = part.mask, MOST_COVERED
    best: Place | None = None
    for _ in range(PLACES):
        x, y = np.array(draw(wanted, random)) + random.normal(0, np.sqrt(part.area), size=2)
        down = int(np.clip(round(y - part.centre[1]), -top, height - bottom))
        across = int(np.clip(round(x - part.centre[0]), -left, width - right))
        at = rows + top + down, columns + left + across
        covered = float(occupied[at].mean())
        if covered < least and own[at].mean() < MOST_COVERED:
            least, best = covered, Place((part.centre[0] + across, part.centre[1] + down))
        if least < FREE:
            break
    return best
