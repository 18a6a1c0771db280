"""Damage a picture somewhere, so that a discriminator learns what no normal image shows.

Seven kinds, none of which is one of the split's synthetic defects: those judge branches, and would judge too well what
has learned from the same. Lengths are shares of the picture's shorter side.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

SIZES = (0.023, 0.25)  # of the longest extent, drawn from its logarithm
CENTRES = (0.06, 0.94)
SALIENT = 0.5  # share of the centres that are drawn where the picture has edges, since products are small in some
EDGE_BLUR = 3.0  # pixels, deviation of a Gaussian
VISIBLE, CHANGED = 20, 12  # grey levels by which pixels that are seen, and such that count as damaged, change at least
TRIES = 40  # to draw damage that is seen: a piece of the ground on the ground is not
CRACK_STEP, CRACK_TURN = 5.0, 0.6  # pixels, and radians at each step
RADIUS = 0.7  # of warped pixels, as a multiple of the size
NOISE_CELLS = 8  # of the noise that cuts out blends, along a side

Picture = UInt8[np.ndarray, "H W 3"]
Share = Float32[np.ndarray, "H W"]


@dataclass(frozen=True)
class Spot:
    """Where damage is drawn: centre and longest extent in pixels."""

    x: float
    y: float
    size: float


def damaged(picture: Picture, kind: str, random: np.random.Generator) -> tuple[Picture, Bool[np.ndarray, "H W"]]:
    """Return a damaged copy and its pixels that changed; none of them where nothing that is seen could be drawn.

    Args:
        picture: stays as it is.
        kind: one of KINDS.
        random: decides place, size, strength and colour.
    """
    side = min(picture.shape[:2])
    for _ in range(TRIES):
        size = float(np.exp(random.uniform(*np.log(SIZES)))) * side
        x, y = centre_in(picture, random)
        copy = KINDS[kind](picture, Spot(x, y, size), random)
        change = np.abs(copy.astype(np.int16) - picture).max(axis=-1)
        if int((change > VISIBLE).sum()) >= max(4.0, 0.3 * size):
            return copy, change > CHANGED
    return picture.copy(), np.zeros(picture.shape[:2], dtype=np.bool_)


def centre_in(picture: Picture, random: np.random.Generator) -> tuple[float, float]:
    """Draw x and y in pixels, anywhere or, in SALIENT of the cases, rather at edges."""
    height, width = picture.shape[:2]
    place = float(random.uniform(*CENTRES) * width), float(random.uniform(*CENTRES) * height)
    if random.random() >= SALIENT:
        return place
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.abs(cv2.Sobel(grey, -1, 1, 0)) + np.abs(cv2.Sobel(grey, -1, 0, 1))
    edges = cv2.GaussianBlur(edges, (0, 0), EDGE_BLUR)
    inner = np.zeros_like(edges, dtype=np.float64)
    rows, columns = (slice(int(CENTRES[0] * side), int(CENTRES[1] * side) + 1) for side in (height, width))
    inner[rows, columns] = edges[rows, columns]
    if inner.sum() == 0.0:
        return place
    pixel = int(np.searchsorted(np.cumsum(inner.ravel()), random.random() * inner.sum(), side="right"))
    row, column = divmod(min(pixel, inner.size - 1), width)
    return float(column), float(row)


def cracked(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Draw a thin dark line that turns at random."""
    share, angle = np.zeros(picture.shape[:2], dtype=np.float32), random.uniform(0, 2 * np.pi)
    steps = max(3, int(spot.size / CRACK_STEP))
    points = [np.array([spot.x, spot.y])]
    for _ in range(steps):
        points.append(points[-1] + spot.size / steps * np.array([np.cos(angle), np.sin(angle)]))
        angle += random.normal(0, CRACK_TURN)
    line = np.rint(points).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(share, [line], False, 1.0, 1, cv2.LINE_8)
    return blend(picture, share * random.uniform(0.3, 0.9), np.zeros(3))


def scarred(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Paste a thin strip of the picture, turned (the "scar" of CutPaste, Li et al., CVPR 2021)."""
    height, width = picture.shape[:2]
    across, down = max(2, int(spot.size)), max(2, int(spot.size * random.uniform(0.08, 0.2)))
    row, column = int(random.integers(0, max(1, height - down))), int(random.integers(0, max(1, width - across)))
    middle = (column + across / 2, row + down / 2)
    turn = cv2.getRotationMatrix2D(middle, float(random.uniform(0, 180)), 1.0)
    turn[:, 2] += np.array([spot.x - middle[0], spot.y - middle[1]])
    strip = np.zeros((height, width), dtype=np.float32)
    strip[row : row + down, column : column + across] = 1.0
    moved = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return blend(picture, cv2.warpAffine(strip, turn, (width, height)), moved)


def warped(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Twist, shift, shrink or swell what lies in a disc."""
    y, x = (one.astype(np.float32) for one in np.indices(picture.shape[:2]))
    down, across = y - spot.y, x - spot.x
    radius = max(3.0, RADIUS * spot.size)
    fall = np.clip(1 - np.hypot(down, across) / radius, 0, 1) ** 1.5
    way = int(random.integers(3))
    if way == 0:
        angle = random.choice([-1, 1]) * random.uniform(0.6, 1.6) * fall
        x, y = (
            spot.x + np.cos(angle) * across - np.sin(angle) * down,
            spot.y + np.sin(angle) * across + np.cos(angle) * down,
        )
    elif way == 1:
        angle, length = random.uniform(0, 2 * np.pi), random.uniform(0.15, 0.4) * radius
        x, y = x + length * np.cos(angle) * fall, y + length * np.sin(angle) * fall
    else:
        scale = random.choice([-0.6, 0.5])
        x, y = x + scale * across * fall, y + scale * down * fall
    maps = x.astype(np.float32), y.astype(np.float32)
    return np.asarray(cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), dtype=np.uint8)


def erased(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Remove what lies in an ellipse: it is filled from its rim (A. Telea, 2004)."""
    inside = ellipse(picture, spot, random.uniform(0.5, 1.0), random) > 0
    return np.asarray(cv2.inpaint(picture, inside.astype(np.uint8), 3, cv2.INPAINT_TELEA), dtype=np.uint8)


def blended(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Let another piece of the picture show through in the shape of noise (Zavrtanik et al., DRAEM, ICCV 2021)."""
    height, width = picture.shape[:2]
    grid = random.standard_normal((NOISE_CELLS + 1, NOISE_CELLS + 1)).astype(np.float32)
    noise = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    near = ellipse(picture, Spot(spot.x, spot.y, 1.2 * spot.size), 1.0, random) > 0
    level = np.median(noise[near]) if near.any() else np.inf
    share = cv2.GaussianBlur((near & (noise > level)).astype(np.float32), (0, 0), 1.0)
    other = np.roll(picture, (int(random.integers(height)), int(random.integers(width))), axis=(0, 1))
    other = other[::-1] if random.random() < 0.5 else other[:, ::-1]
    return blend(picture, share * random.uniform(0.25, 0.8), other)


def spotted(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Draw a few faint dots."""
    share = np.zeros(picture.shape[:2], dtype=np.float32)
    for _ in range(int(random.integers(2, 6))):
        x, y = (int(one + random.normal(0, spot.size / 3)) for one in (spot.x, spot.y))
        cv2.circle(share, (x, y), int(random.integers(0, max(1, int(spot.size / 12)) + 1)), 1.0, -1, cv2.LINE_AA)
    colour = random.integers(0, 255, 3)
    if (picture == picture[..., :1]).all():
        colour[:] = colour[0]
    return blend(picture, cv2.GaussianBlur(share, (0, 0), 0.7) * random.uniform(0.3, 0.8), colour)


def shaded(picture: Picture, spot: Spot, random: np.random.Generator) -> Picture:
    """Make an ellipse darker or brighter, its rim sharp or soft."""
    share = ellipse(picture, Spot(spot.x, spot.y, 2 * spot.size), random.uniform(0.4, 1.0), random)
    if random.random() < 0.5:
        share = cv2.GaussianBlur(share, (0, 0), max(spot.size / 8, 0.5))
    gain = random.choice([random.uniform(0.5, 0.85), random.uniform(1.15, 1.5)])
    return np.asarray(np.clip(picture * (1 + share[..., None] * (gain - 1)), 0, 255), dtype=np.uint8)


def ellipse(picture: Picture, spot: Spot, ratio: float, random: np.random.Generator) -> Share:
    """Return 1 inside an ellipse of the spot's extent, its shorter axis `ratio` of it, turned at random."""
    share = np.zeros(picture.shape[:2], dtype=np.float32)
    axes = max(1, int(spot.size / 2)), max(1, int(ratio * spot.size / 2))
    cv2.ellipse(share, (int(spot.x), int(spot.y)), axes, float(random.uniform(0, 180)), 0, 360, 1.0, -1)
    return share


def blend(picture: Picture, share: Share, other: np.ndarray) -> Picture:
    """Return the picture with a share of a colour or of another picture."""
    mixed = np.clip((1 - share[..., None]) * picture + share[..., None] * other, 0, 255)
    return np.asarray(mixed, dtype=np.uint8)


KINDS: dict[str, Callable[[Picture, Spot, np.random.Generator], Picture]] = {
    "crack": cracked, "scar": scarred, "warp": warped, "removed piece": erased, "blend": blended, "spots": spotted,
    "shade": shaded,
}  # fmt: skip
