"""Drawn products: images with their true components, whose parts, light and noise vary as in production."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float64, UInt8

SIZE, FINE = 256, 4  # pixels of an image's side; drawn so many times finer
IMAGES = 60
Colour = tuple[float, float, float]


class Canvas:
    """An image and the classes of its pixels, drawn finely in coordinates of 0 to 1 (right, down)."""

    def __init__(self, ground: Colour, draw: np.random.Generator) -> None:
        self.side, self.draw = SIZE * FINE, draw
        self.pixels = np.full((self.side, self.side, 3), ground, dtype=np.float64)
        self.classes = np.zeros((self.side, self.side), dtype=np.uint8)

    def mask(self, corners: Float64[np.ndarray, "K 2"]) -> UInt8[np.ndarray, "S S"]:
        """A filled polygon."""
        filled = np.zeros((self.side, self.side), dtype=np.uint8)
        cv2.fillPoly(filled, [(corners * self.side).round().astype(np.int32)], 1)
        return filled

    def stroke(self, points: Float64[np.ndarray, "K 2"], width: float) -> UInt8[np.ndarray, "S S"]:
        """A line of that width through the points."""
        drawn = np.zeros((self.side, self.side), dtype=np.uint8)
        cv2.polylines(drawn, [(points * self.side).round().astype(np.int32)], False, 1, round(width * self.side))
        return drawn

    def part(self, mask: UInt8[np.ndarray, "S S"], colour: Colour, number: int, *, grain: float, cell: float) -> None:
        """Paint a part of class `number` with a grain of that many grey levels in cells of that size."""
        count = max(round(1 / cell), 2)
        coarse = self.draw.normal(0, grain, size=(count, count))
        texture = cv2.resize(coarse, (self.side, self.side), interpolation=cv2.INTER_CUBIC)
        tone = self.draw.normal(0, 3)
        inside = mask > 0
        self.pixels[inside] = np.array(colour) + tone + texture[inside][:, None]
        if number:
            self.classes[inside] = number

    def shadow(self, mask: UInt8[np.ndarray, "S S"], *, right: float, down: float, depth: float) -> None:
        """Darken where a part throws its soft shadow."""
        move = np.array([[1, 0, right * self.side], [0, 1, down * self.side]])
        soft = cv2.GaussianBlur(cv2.warpAffine(mask.astype(np.float64), move, (self.side, self.side)), (0, 0), 2 * FINE)
        self.pixels *= 1 - depth * soft[..., None]

    def photograph(self) -> tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]:
        """The image under uneven light, with noise, and its classes."""
        ramp = np.linspace(-1, 1, self.side)
        along, across = self.draw.normal(0, 0.04, size=2)
        light = np.exp(self.draw.normal(0, 0.05) + along * ramp[:, None] + across * ramp)[..., None]
        small = cv2.resize(self.pixels * light, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        noisy = cv2.GaussianBlur(small, (0, 0), 0.5) + self.draw.normal(0, 2.5, size=small.shape)
        middle = self.classes[FINE // 2 :: FINE, FINE // 2 :: FINE]
        return noisy.round().clip(0, 255).astype(np.uint8), middle


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
