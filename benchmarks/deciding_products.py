"""Four drawn products of large touching parts that decide about kinds, fixed before anything was run on them.

A sandwich from the side, a slice through a chest in grey, a signal with three lamps and a row of coloured fuses.
"""

import numpy as np

from benchmarks.drawing import Canvas, Product, box, circle, turned


def sandwich(draw: np.random.Generator) -> Canvas:
    """Two slices of bread around cheese, ham and lettuce, whose heights vary."""
    canvas = Canvas((92, 108, 122), draw)
    canvas.part(np.ones_like(canvas.classes), (92, 108, 122), 0, grain=3, cell=0.05)
    x, y = draw.normal(0, 0.01, size=2)
    layers = [(1, 0.17, (198, 148, 86)), (2, 0.1, (238, 186, 50)), (3, 0.12, (214, 126, 130)), (4, 0.11, (86, 142, 50))]
    top = 0.18
    for number, height, colour in [*layers, (1, 0.17, (198, 148, 86))]:
        bottom, tilt = top + height + draw.normal(0, 0.008), draw.normal(0, 0.006)
        corners = np.array([(0.14, top), (0.86, top + tilt), (0.86, bottom + 0.02), (0.14, bottom + 0.02)]) + (x, y)
        canvas.part(canvas.mask(corners), colour, number, grain=9, cell=0.02)
        top = bottom
    return canvas


def chest_slice(draw: np.random.Generator) -> Canvas:
    """Two lungs, heart and a vertebra in a body, in grey as of a scanner."""
    canvas = Canvas((8, 8, 8), draw)
    x, y = 0.5 + draw.normal(0, 0.01), 0.5 + draw.normal(0, 0.01)

    def ellipse(right: float, down: float, width: float, height: float) -> np.ndarray:
        return canvas.mask(np.array(circle(1)) * (width, height) + (x + right, y + down))

    canvas.part(ellipse(0, 0, 0.46, 0.38), (126, 126, 126), 1, grain=6, cell=0.04)
    for side in (-1, 1):
        breath = 1 + draw.normal(0, 0.03)
        lung = ellipse(0.21 * side, 0, 0.16 * breath, 0.26 * breath)
        canvas.part(lung, (48, 48, 48), 2, grain=7, cell=0.03)
    canvas.part(ellipse(0.06, -0.05, 0.13, 0.14), (164, 164, 164), 3, grain=4, cell=0.05)
    canvas.part(ellipse(0, 0.25, 0.09, 0.08), (224, 224, 224), 4, grain=6, cell=0.03)
    return canvas


def signal(draw: np.random.Generator) -> Canvas:
    """Three lamps with visors in a dark housing on a pole in front of the sky."""
    canvas = Canvas((166, 192, 216), draw)
    canvas.part(np.ones_like(canvas.classes), (166, 192, 216), 0, grain=5, cell=0.2)
    x, y = draw.normal(0, 0.01, size=2)
    canvas.part(canvas.mask(np.array(box(0.45, 0.88, 0.55, 1)) + (x, y)), (120, 122, 124), 1, grain=3, cell=0.05)
    canvas.part(canvas.mask(np.array(box(0.29, 0.06, 0.71, 0.9)) + (x, y)), (46, 50, 44), 2, grain=3, cell=0.05)
    for lamp, colour in enumerate([(188, 40, 36), (226, 168, 40), (40, 150, 96)]):
        middle = (0.5 + x + draw.normal(0, 0.003), 0.2 + 0.27 * lamp + y)
        canvas.part(canvas.mask(turned(circle(0.11), 0, *middle)), colour, 3 + lamp, grain=5, cell=0.03)
        visor = canvas.mask(turned(box(-0.13, -0.135, 0.13, -0.09), 0, *middle))
        canvas.part(visor, (206, 204, 196), 6, grain=2, cell=0.05)
    return canvas


def fuse_row(draw: np.random.Generator) -> Canvas:
    """Eight blade fuses in three colours between two busbars."""
    canvas = Canvas((58, 60, 66), draw)
    canvas.part(np.ones_like(canvas.classes), (58, 60, 66), 0, grain=3, cell=0.04)
    x, y = draw.normal(0, 0.01, size=2)
    for top in (0.16, 0.72):
        bar = canvas.mask(np.array(box(0.06, top, 0.94, top + 0.12)) + (x, y))
        canvas.part(bar, (190, 146, 110), 1, grain=5, cell=0.02)
    colours = {2: (176, 40, 60), 3: (60, 110, 186), 4: (222, 186, 60)}
    for place, number in enumerate((2, 3, 3, 4, 2, 4, 3, 2)):
        left, top = 0.085 + 0.105 * place + draw.normal(0, 0.002), 0.28 + draw.normal(0, 0.003)
        fuse = canvas.mask(np.array(box(left, top, left + 0.095, top + 0.44)) + (x, y))
        canvas.part(fuse, colours[number], number, grain=5, cell=0.04)
    return canvas


PRODUCTS: dict[str, Product] = {
    "sandwich": sandwich,
    "chest_slice": chest_slice,
    "signal": signal,
    "fuse_row": fuse_row,
}
