"""Drawn products: images with their true components, whose parts, light and noise vary as in production."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float64, UInt8

SIZE, FINE = 256, 4  # pixels of an image's side; drawn so many times finer
SIDE = SIZE * FINE
SOFTNESS = 2 * FINE  # of a shadow's edge: deviation of a Gaussian
IMAGES = 60
Colour = tuple[float, float, float]
Mask = UInt8[np.ndarray, "S S"]
Pixels = Float64[np.ndarray, "S S 3"]
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Part:
    """A part, or what it lies on.

    Attributes:
        mask: where it is.
        colour: mean grey levels of its pixels.
        coarse: deviations from these in cells of the whole image, which are smoothed.
        number: class; 0 for the ground.
    """

    mask: Mask
    colour: Float64[np.ndarray, " 3"]
    coarse: Float64[np.ndarray, "c c"]
    number: int

    def paint(self, pixels: Pixels) -> None:
        """Cover what is below it."""
        box = box_of(self.mask)
        if box is None:
            return
        texture = cv2.resize(self.coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[box]
        inside = self.mask[box] > 0
        pixels[box][inside] = self.colour + texture[inside][:, None]


@dataclass(frozen=True)
class Shadow:
    """What a part darkens.

    Attributes:
        mask: of the part.
        right, down: how far it falls, as shares of the image's side.
        depth: share of the light that is lost.
    """

    mask: Mask
    right: float
    down: float
    depth: float

    def paint(self, pixels: Pixels) -> None:
        """Darken what is below it; the box holds all that the Gaussian reaches."""
        move = np.array([[1, 0, self.right * SIDE], [0, 1, self.down * SIDE]])
        moved = cv2.warpAffine(self.mask.astype(np.float64), move, (SIDE, SIDE))
        box = box_of(moved > 0, margin=8 * SOFTNESS)
        if box is not None:
            soft = cv2.GaussianBlur(moved[box], (0, 0), SOFTNESS)
            pixels[box] *= 1 - self.depth * soft[..., None]


Layer = Part | Shadow


class Canvas:
    """An image and the classes of its pixels, drawn finely in coordinates of 0 to 1 (right, down).

    Attributes:
        layers: what was drawn, in that order. It becomes pixels when the photograph is taken: until then a layer may be
            taken away, moved or added, and the rest stays as it is.
    """

    def __init__(self, ground: Colour, draw: np.random.Generator) -> None:
        self.ground, self.draw = ground, draw
        self.layers: list[Layer] = []

    @property
    def everywhere(self) -> Mask:
        """A mask of the whole image."""
        return np.ones((SIDE, SIDE), dtype=np.uint8)

    def mask(self, corners: Float64[np.ndarray, "K 2"]) -> Mask:
        """A filled polygon."""
        filled = np.zeros((SIDE, SIDE), dtype=np.uint8)
        cv2.fillPoly(filled, [(corners * SIDE).round().astype(np.int32)], 1)
        return filled

    def stroke(self, points: Float64[np.ndarray, "K 2"], width: float) -> Mask:
        """A line of that width through the points."""
        drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
        cv2.polylines(drawn, [(points * SIDE).round().astype(np.int32)], False, 1, round(width * SIDE))
        return drawn

    def part(self, mask: Mask, colour: Colour, number: int, *, grain: float, cell: float) -> None:
        """Paint a part of class `number` with a grain of that many grey levels in cells of that size."""
        count = max(round(1 / cell), 2)
        coarse = self.draw.normal(0, grain, size=(count, count))
        tone = self.draw.normal(0, 3)
        self.layers.append(Part(mask, np.array(colour) + tone, coarse, number))

    def shadow(self, mask: Mask, *, right: float, down: float, depth: float) -> None:
        """Darken where a part throws its soft shadow."""
        self.layers.append(Shadow(mask, right, down, depth))

    def photograph(self) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
        """The image under uneven light, with noise, and its classes."""
        pixels = np.full((SIDE, SIDE, 3), self.ground, dtype=np.float64)
        for layer in self.layers:
            layer.paint(pixels)
        ramp = np.linspace(-1, 1, SIDE)
        along, across = self.draw.normal(0, 0.04, size=2)
        light = np.exp(self.draw.normal(0, 0.05) + along * ramp[:, None] + across * ramp)[..., None]
        small = cv2.resize(pixels * light, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        noisy = cv2.GaussianBlur(small, (0, 0), 0.5) + self.draw.normal(0, 2.5, size=small.shape)
        return noisy.round().clip(0, 255).astype(np.uint8), classes_of(self.layers)


def classes_of(layers: Sequence[Layer]) -> UInt8[np.ndarray, "H W"]:
    """The class of what is seen at the middle of each of the image's pixels."""
    step = slice(FINE // 2, None, FINE)
    classes = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for layer in layers:
        if isinstance(layer, Part) and layer.number:
            classes[layer.mask[step, step] > 0] = layer.number
    return classes


def box_of(mask: np.ndarray, *, margin: int = 0) -> Box | None:
    """Rows and columns of what is not 0, and a margin; None where all is."""
    lines = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    if not len(lines[0]):
        return None
    rows, columns = (slice(max(line[0] - margin, 0), line[-1] + 1 + margin) for line in lines)
    return rows, columns


def turned(corners: Sequence[tuple[float, float]], angle: float, x: float, y: float) -> Float64[np.ndarray, "K 2"]:
    """Corners turned about (0, 0) and moved to (x, y)."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(np.array(corners) @ turn + (x, y))


def circle(radius: float, corners: int = 48) -> list[tuple[float, float]]:
    """Corners of a regular polygon."""
    angles = np.arange(corners) * 2 * np.pi / corners
    return [(radius * float(np.cos(angle)), radius * float(np.sin(angle))) for angle in angles]


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """Corners of a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


Product = Callable[[np.random.Generator], Canvas]


def photographs(
    product: Product, *, count: int = IMAGES, first: int = 0
) -> tuple[UInt8[torch.Tensor, "N 3 H W"], UInt8[np.ndarray, "N H W"]]:
    """`count` images of a product, as the proposers want them, and their classes.

    Args:
        first: number of the first one; another number is another photograph.
    """
    taken = [product(np.random.default_rng(number)).photograph() for number in range(first, first + count)]
    images = torch.from_numpy(np.stack([image for image, _ in taken])).permute(0, 3, 1, 2).contiguous()
    return images, np.stack([classes for _, classes in taken])
