"""Five more drawn products of large touching parts, fixed before anything was run on them.

They showed that labels which agree between two shots need not be the true ones.

A slice through a knee in grey, a flange with its bolts, tubes of paint, a tile of two colours and a parcel whose bow is
red or green.
"""

import numpy as np

from benchmarks.drawing import Canvas, Product, box, circle, turned


def knee_slice(draw: np.random.Generator) -> Canvas:
    """Femur above tibia with cartilage between them, muscle around and fat at both sides, in grey as of a scanner."""
    canvas = Canvas((10, 10, 10), draw)
    x, y, lean = *draw.normal(0, 0.012, size=2), draw.normal(0, 0.015)
    canvas.part(canvas.mask(np.array(box(0.12, 0.02, 0.88, 0.98)) + (x, y)), (168, 168, 168), 1, grain=6, cell=0.05)
    muscle = np.array([(0.22, 0.02), (0.78, 0.02), (0.74 + lean, 0.5), (0.78, 0.98), (0.22, 0.98), (0.26 + lean, 0.5)])
    canvas.part(canvas.mask(muscle + (x, y)), (70, 70, 70), 2, grain=7, cell=0.04)
    cartilage = canvas.mask(np.array(box(0.33, 0.44, 0.69, 0.56)) + (x + lean, y))
    canvas.part(cartilage, (112, 112, 112), 3, grain=4, cell=0.05)
    femur = [(0.4, 0.02), (0.6, 0.02), (0.62, 0.3), (0.7, 0.46), (0.32, 0.46), (0.38, 0.3)]
    tibia = [(0.34, 0.54), (0.68, 0.54), (0.6, 0.68), (0.58, 0.98), (0.42, 0.98), (0.42, 0.68)]
    for bone in (femur, tibia):
        canvas.part(canvas.mask(np.array(bone) + (x + lean, y)), (218, 218, 218), 4, grain=6, cell=0.03)
    return canvas


def flange(draw: np.random.Generator) -> Canvas:
    """A painted ring with six brass bolts, a rubber seal and a steel pipe's end in the middle."""
    canvas = Canvas((108, 104, 98), draw)
    canvas.part(np.ones_like(canvas.classes), (108, 104, 98), 0, grain=6, cell=0.015)
    x, y, roll = 0.5 + draw.normal(0, 0.01), 0.5 + draw.normal(0, 0.01), draw.uniform(0, np.pi / 3)
    for radius, colour, number in ((0.42, (36, 84, 128), 1), (0.22, (28, 28, 30), 2), (0.17, (182, 184, 188), 3)):
        ring = canvas.mask(turned(circle(radius), 0, x, y))
        if number == 1:
            canvas.shadow(ring, right=0.012, down=0.012, depth=0.3)
        canvas.part(ring, colour, number, grain=5, cell=0.03)
    for bolt in range(6):
        towards = roll + bolt * np.pi / 3
        corners = turned(circle(0.055, 6), roll, x + 0.32 * np.cos(towards), y + 0.32 * np.sin(towards))
        canvas.part(canvas.mask(corners), (192, 150, 70), 4, grain=6, cell=0.02)
    return canvas


def paint_tubes(draw: np.random.Generator) -> Canvas:
    """Five tubes side by side, each of its own colour with a black cap, in a carton."""
    canvas = Canvas((186, 150, 108), draw)
    canvas.part(np.ones_like(canvas.classes), (186, 150, 108), 0, grain=5, cell=0.02)
    x, y = draw.normal(0, 0.01, size=2)
    for place, colour in enumerate([(46, 120, 66), (236, 234, 228), (188, 40, 44), (44, 60, 140), (228, 196, 50)]):
        left, top = 0.1 + 0.16 * place, 0.28 + draw.normal(0, 0.008)
        angle = draw.normal(0, 0.01)
        body = canvas.mask(turned(box(-0.078, 0, 0.078, 0.58), angle, left + 0.08 + x, top + y))
        canvas.part(body, colour, 1 + place, grain=4, cell=0.06)
        cap = canvas.mask(turned(box(-0.045, -0.14, 0.045, 0), angle, left + 0.08 + x, top + y))
        canvas.part(cap, (30, 30, 32), 6, grain=3, cell=0.05)
    return canvas


def floor_tile(draw: np.random.Generator) -> Canvas:
    """A panel of nine tiles in two colours with light joints and a metal edge."""
    canvas = Canvas((88, 92, 96), draw)
    canvas.part(np.ones_like(canvas.classes), (88, 92, 96), 0, grain=3, cell=0.05)
    middle, angle = 0.5 + draw.normal(0, 0.01, size=2), draw.normal(0, 0.015)
    canvas.part(
        canvas.mask(turned(box(-0.44, -0.44, 0.44, 0.44), angle, *middle)), (150, 144, 120), 1, grain=3, cell=0.1
    )
    canvas.part(canvas.mask(turned(box(-0.4, -0.4, 0.4, 0.4), angle, *middle)), (222, 218, 208), 2, grain=3, cell=0.02)
    for row in range(3):
        for column in range(3):
            left, top = -0.38 + 0.26 * column, -0.38 + 0.26 * row
            tile = canvas.mask(turned(box(left, top, left + 0.24, top + 0.24), angle, *middle))
            number, colour = (3, (160, 82, 58)) if (row + column) % 2 else (4, (70, 110, 104))
            canvas.part(tile, colour, number, grain=8, cell=0.04)
    return canvas


def parcel(draw: np.random.Generator) -> Canvas:
    """A box in yellow paper with a white ribbon across, a label and a bow that is red or green."""
    canvas = Canvas((120, 96, 76), draw)
    canvas.part(np.ones_like(canvas.classes), (120, 96, 76), 0, grain=5, cell=0.03)
    middle, angle = 0.5 + draw.normal(0, 0.012, size=2), draw.normal(0, 0.02)
    paper = canvas.mask(turned(box(-0.4, -0.34, 0.4, 0.34), angle, *middle))
    canvas.shadow(paper, right=0.015, down=0.015, depth=0.3)
    canvas.part(paper, (222, 190, 92), 1, grain=4, cell=0.06)
    for strip in (box(-0.4, -0.05, 0.4, 0.05), box(-0.17, -0.34, -0.07, 0.34)):
        canvas.part(canvas.mask(turned(strip, angle, *middle)), (240, 240, 244), 2, grain=2, cell=0.05)
    label = canvas.mask(turned(box(0.08, 0.12, 0.34, 0.28), angle, *middle))
    canvas.part(label, (60, 84, 128), 3, grain=3, cell=0.05)
    colour, number = ((176, 34, 48), 4) if draw.random() < 0.5 else ((40, 116, 62), 5)
    for side in (-1, 1):
        loop = turned(circle(0.075), 0, -0.12 + 0.07 * side, 0)
        bow = canvas.mask(turned([(float(a), float(b)) for a, b in loop], angle, *middle))
        canvas.part(bow, colour, number, grain=5, cell=0.03)
    return canvas


PRODUCTS: dict[str, Product] = {
    "knee_slice": knee_slice,
    "flange": flange,
    "paint_tubes": paint_tubes,
    "floor_tile": floor_tile,
    "parcel": parcel,
}
