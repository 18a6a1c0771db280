"""Six drawn products of large touching parts, fixed before anything was run on them.

Kinds by colour failed on three of them when the light changed, which led to `gains_of_light`.

A palette, a battery pack, a salad jar of two recipes, a slice through a spine in grey, a cable's cross section and a
sash window: the same part once and several times, levels that vary, colours that are far apart and close together.
"""

import numpy as np

from benchmarks.drawing import Canvas, Product, box, circle, turned


def palette(draw: np.random.Generator) -> Canvas:
    """Six pans of make-up in four shades around a brush."""
    canvas = Canvas((30, 28, 32), draw)
    canvas.part(np.ones_like(canvas.classes), (30, 28, 32), 0, grain=2, cell=0.05)
    x, y, angle = *draw.normal(0, 0.01, size=2), draw.normal(0, 0.02)
    shades = {1: (214, 164, 150), 2: (150, 74, 84), 3: (96, 66, 52), 4: (200, 184, 130)}
    for place, number in enumerate((1, 2, 1, 3, 4, 3)):
        across, down = 0.12 + 0.26 * (place % 3), (0.12, 0.62)[place // 3]
        pan = canvas.mask(turned(box(across - 0.5, down - 0.5, across - 0.26, down - 0.22), angle, 0.5 + x, 0.5 + y))
        canvas.part(pan, shades[number], number, grain=5, cell=0.02)
    handle = canvas.mask(turned(box(-0.34, -0.045, 0.16, 0.045), angle + draw.normal(0, 0.01), 0.5 + x, 0.5 + y))
    bristle = canvas.mask(turned(box(0.16, -0.06, 0.34, 0.06), angle, 0.5 + x, 0.5 + y))
    canvas.part(handle, (224, 222, 218), 5, grain=3, cell=0.1)
    canvas.part(bristle, (120, 92, 60), 6, grain=14, cell=0.008)
    return canvas


def battery_pack(draw: np.random.Generator) -> Canvas:
    """Twelve round cells in two wraps, close to each other in a grey holder."""
    canvas = Canvas((150, 150, 146), draw)
    canvas.part(np.ones_like(canvas.classes), (150, 150, 146), 0, grain=3, cell=0.04)
    x, y = draw.normal(0, 0.01, size=2)
    for row in range(3):
        for column in range(4):
            number = 1 + (row + column) % 2
            middle = (0.155 + 0.23 * column + x, 0.27 + 0.23 * row + y)
            colour = (44, 92, 160) if number == 1 else (206, 110, 40)
            canvas.part(canvas.mask(turned(circle(0.113), 0, *middle)), colour, number, grain=4, cell=0.05)
            shine = canvas.mask(turned(circle(0.03), 0, middle[0] + draw.normal(0, 0.003), middle[1]))
            canvas.part(shine, (212, 212, 208), 3, grain=3, cell=0.05)
    return canvas


def salad_jar(draw: np.random.Generator) -> Canvas:
    """A jar with a lid and four layers whose levels vary; every second jar has beetroot where the others have corn."""
    canvas = Canvas((228, 226, 220), draw)
    canvas.part(np.ones_like(canvas.classes), (228, 226, 220), 0, grain=2, cell=0.1)
    x, y = draw.normal(0, 0.01, size=2)
    glass = canvas.mask(np.array(box(0.22, 0.2, 0.78, 0.94)) + (x, y))
    canvas.shadow(glass, right=0.02, down=0.01, depth=0.2)
    levels = 0.24 + np.array([0, 0.17, 0.35, 0.52, 0.7]) + np.array([0, *draw.normal(0, 0.015, size=3), 0])
    third = (5, (122, 26, 66)) if draw.random() < 0.5 else (3, (232, 190, 60))
    layers = [(1, (74, 128, 44)), (2, (206, 60, 40)), third, (4, (232, 220, 196))]
    for layer, (number, colour) in enumerate(layers):
        tilt = draw.normal(0, 0.008)
        corners = [(0.22, levels[layer]), (0.78, levels[layer] + tilt), (0.78, 0.94), (0.22, 0.94)]
        canvas.part(canvas.mask(np.array(corners) + (x, y)), colour, number, grain=13, cell=0.025)
    lid = canvas.mask(np.array(box(0.2, 0.1, 0.8, 0.24)) + (x, y))
    canvas.part(lid, (176, 178, 184), 6, grain=3, cell=0.2)
    return canvas


def spine_slice(draw: np.random.Generator) -> Canvas:
    """Five vertebrae with discs between them, the cord behind and tissue around, in grey as of a scanner."""
    canvas = Canvas((12, 12, 12), draw)
    x, y, bend = *draw.normal(0, 0.012, size=2), draw.normal(0, 0.03)
    tissue = canvas.mask(np.array(box(0.08, 0.03, 0.92, 0.97)) + (x, y))
    canvas.part(tissue, (74, 74, 74), 1, grain=7, cell=0.04)

    def along(depth: float) -> float:
        return float(0.42 + bend * np.sin(np.pi * depth) + x)

    heights = np.linspace(0.07, 0.93, 60)
    cord = canvas.stroke(np.array([(along(height) + 0.18, height + y) for height in heights]), 0.07)
    canvas.part(cord, (128, 128, 128), 4, grain=4, cell=0.05)
    for place in range(5):
        top = 0.08 + 0.17 * place + draw.normal(0, 0.003)
        middle = along(top + 0.06)
        bone = canvas.mask(np.array(box(middle - 0.12, top, middle + 0.12, top + 0.12)) + (0, y))
        canvas.part(bone, (188, 188, 188), 2, grain=8, cell=0.03)
        disc = canvas.mask(np.array(box(middle - 0.115, top + 0.12, middle + 0.115, top + 0.17)) + (0, y))
        canvas.part(disc, (104, 104, 104), 3, grain=5, cell=0.03)
    return canvas


def cable_section(draw: np.random.Generator) -> Canvas:
    """Three insulated cores with copper inside, in a sheath."""
    canvas = Canvas((236, 236, 238), draw)
    canvas.part(np.ones_like(canvas.classes), (236, 236, 238), 0, grain=2, cell=0.1)
    x, y = 0.5 + draw.normal(0, 0.01), 0.5 + draw.normal(0, 0.01)
    canvas.part(canvas.mask(turned(circle(0.43), 0, x, y)), (58, 58, 62), 1, grain=4, cell=0.03)
    roll = draw.normal(0, 0.08)
    for number, colour in enumerate([(96, 60, 40), (52, 84, 150), (120, 160, 60)]):
        towards = roll + number * 2 * np.pi / 3
        middle = (x + 0.2 * np.cos(towards), y + 0.2 * np.sin(towards))
        canvas.part(canvas.mask(turned(circle(0.17), 0, *middle)), colour, 2 + number, grain=4, cell=0.04)
        copper = canvas.mask(turned(circle(0.1 + draw.normal(0, 0.002)), 0, *middle))
        canvas.part(copper, (206, 140, 96), 5, grain=18, cell=0.012)
    return canvas


def sash_window(draw: np.random.Generator) -> Canvas:
    """A wooden frame with four panes, a sill below and a handle."""
    canvas = Canvas((196, 186, 170), draw)
    canvas.part(np.ones_like(canvas.classes), (196, 186, 170), 0, grain=6, cell=0.01)
    x, y = draw.normal(0, 0.01, size=2)
    frame = canvas.mask(np.array(box(0.14, 0.08, 0.86, 0.84)) + (x, y))
    canvas.part(frame, (124, 78, 46), 1, grain=7, cell=0.02)
    for across in (0.2, 0.52):
        for down in (0.14, 0.48):
            pane = canvas.mask(np.array(box(across, down, across + 0.28, down + 0.3)) + (x, y))
            canvas.part(pane, (150, 184, 206), 2, grain=8, cell=0.15)
    sill = canvas.mask(np.array(box(0.08, 0.84, 0.92, 0.93)) + (x, y))
    canvas.part(sill, (238, 236, 230), 3, grain=3, cell=0.1)
    handle = canvas.mask(turned(box(-0.015, -0.06, 0.015, 0.06), draw.normal(0, 0.1), 0.5 + x, 0.6 + y))
    canvas.part(handle, (40, 38, 36), 4, grain=3, cell=0.1)
    return canvas


PRODUCTS: dict[str, Product] = {
    "palette": palette,
    "battery_pack": battery_pack,
    "salad_jar": salad_jar,
    "spine_slice": spine_slice,
    "cable_section": cable_section,
    "sash_window": sash_window,
}
