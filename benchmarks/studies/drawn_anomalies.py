"""Logical anomalies of drawn products: a part missing, a further one, one of another kind in its place, one misplaced.

They are drawn and not edited: the drawing knows its parts, what lies on them and what is below. So nothing here is made
as the pipeline makes the pictures that it judges its proposers by (`stages.aecsad.pseudo_label.edits`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.studies.canvas import SIDE, Canvas, Layer, Mask, Part, Product, Shadow, box_of, classes_of

KINDS = ("missing", "extra", "exchanged", "misplaced")
SHARES = (0.003, 0.2)  # of the image that the part covers
ON_TOP = 0.9  # share of a later part that lies on an earlier one, above which it goes with it
DISTANCES = (0.1, 0.3)  # of the image's side, from where a part belongs
VISIBLE = 0.003  # share of the image's pixels that must be of another class, for an anomaly to be one
TRIES = 50
COUNTS = {"train/good": 60, "validation/good": 20, "test/good": 20}  # normal photographs of a product
ANOMALIES = 24
APART = 1000  # numbers of the photographs of one seed, see `photographs`


@dataclass(frozen=True)
class Piece:
    """A part with what lies on it and the shadow that it throws.

    Attributes:
        rows: numbers of their layers, in that order.
        mask: of the part.
        number: its class.
    """

    rows: tuple[int, ...]
    mask: Mask
    number: int


def pieces_of(layers: Sequence[Layer]) -> list[Piece]:
    """Return the pieces of plausible size, small ones on large ones among them."""
    found: list[Piece] = []
    for row, layer in enumerate(layers):
        if isinstance(layer, Part) and layer.number and SHARES[0] <= layer.mask.mean() <= SHARES[1]:
            rows = [other for other, one in enumerate(layers) if belongs(one, layer, later=other > row)]
            found.append(Piece(tuple(rows), layer.mask, layer.number))
    return found


def belongs(one: Layer, part: Part, *, later: bool) -> bool:
    """Whether a layer is the part, its shadow, or lies on it."""
    if isinstance(one, Shadow):
        return one.mask is part.mask
    return one is part or later and int((one.mask & part.mask).sum()) > ON_TOP * int(one.mask.sum())


def moved(layer: Layer, right: float, down: float) -> Layer:
    """Return a layer elsewhere; lengths are shares of the image's side."""
    warp = np.array([[1, 0, round(right * SIDE)], [0, 1, round(down * SIDE)]], dtype=np.float64)
    return replace(layer, mask=cv2.warpAffine(layer.mask, warp, (SIDE, SIDE), flags=cv2.INTER_NEAREST))


def spoil(layers: Sequence[Layer], kind: str, random: np.random.Generator) -> list[Layer] | None:
    """Return the layers with one anomaly that is visible; None where none of TRIES is.

    What is added, exchanged or misplaced lies on top.
    """
    pieces, before = pieces_of(layers), classes_of(layers)
    for _ in range(TRIES if pieces else 0):
        changed = try_to_spoil(layers, pieces, kind, random)
        if changed is not None and (classes_of(changed) != before).mean() >= VISIBLE:
            return changed
    return None


def try_to_spoil(
    layers: Sequence[Layer], pieces: Sequence[Piece], kind: str, random: np.random.Generator
) -> list[Layer] | None:
    """Return the layers with one anomaly of a piece that is drawn; None where there is no place or other kind."""
    piece = pieces[int(random.integers(len(pieces)))]
    rest = [layer for row, layer in enumerate(layers) if row not in piece.rows]
    if kind == "missing":
        return rest
    if kind == "exchanged":
        others = [one for one in pieces if one.number != piece.number]
        if not others:
            return None
        other = others[int(random.integers(len(others)))]
        right, down = np.subtract(centre_of(piece.mask), centre_of(other.mask))
        return added(rest, layers, other, right, down)
    towards, distance = random.uniform(0, 2 * np.pi), random.uniform(*DISTANCES)
    right, down = distance * np.cos(towards), distance * np.sin(towards)
    return added(layers if kind == "extra" else rest, layers, piece, right, down)


def added(
    base: Sequence[Layer], layers: Sequence[Layer], piece: Piece, right: float, down: float
) -> list[Layer] | None:
    """Put a moved copy of a piece on top; None where it would leave the image."""
    box = box_of(piece.mask)
    assert box is not None
    for line, move in zip(box, (down, right), strict=True):
        if line.start + move * SIDE < 0 or line.stop + move * SIDE > SIDE:
            return None
    return [*base, *(moved(layers[row], right, down) for row in piece.rows)]


def centre_of(mask: Mask) -> tuple[float, float]:
    """Return the middle of a mask's box (right, down), as shares of the image's side."""
    box = box_of(mask)
    assert box is not None
    down, right = ((line.start + line.stop) / 2 / SIDE for line in box)
    return right, down


def draw_anomaly(product: Product, number: int, kind: str) -> Canvas | None:
    """Return photograph `number` of a product with an anomaly; None where none of this kind is possible."""
    canvas = product(np.random.default_rng(number))
    changed = spoil(canvas.layers, kind, np.random.default_rng([number, KINDS.index(kind)]))
    if changed is None:
        return None
    canvas.layers = changed
    return canvas


def write_product(folder: Path, product: Product, *, seed: int) -> None:
    """Write photographs in the layout of MVTec LOCO, anomalous ones named after their kind.

    Args:
        folder: to make.
        product: to draw; kinds that it does not allow are left out, and the others have as many more.
        seed: another one, other photographs.
    """
    number = seed * APART
    for part, count in COUNTS.items():
        (folder / part).mkdir(parents=True)
        for row in range(count):
            save(folder / part / f"{row:03d}.png", product(np.random.default_rng(number)))
            number += 1
    (folder / "test/logical_anomalies").mkdir()
    made, kinds = 0, list(KINDS)
    while made < ANOMALIES and kinds:
        kind = kinds[made % len(kinds)]
        canvas = draw_anomaly(product, number, kind)
        number += 1
        if canvas is None:
            kinds.remove(kind)
            continue
        save(folder / f"test/logical_anomalies/{kind}_{made:03d}.png", canvas)
        made += 1


def save(path: Path, canvas: Canvas) -> None:
    """Write a photograph."""
    image, _ = canvas.photograph()
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
