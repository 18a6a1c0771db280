"""Three drawn products: small and thin parts on plain ground, large touching parts, wires between terminal blocks.

They were fixed before anything was run on them. What the screw kit showed led to the contrast that background
difference finds by itself, and the other two were looked at when kinds of parts were first compared.
"""

import numpy as np

from benchmarks.drawing import Canvas, Product, box, circle, turned


def screw_kit(draw: np.random.Generator) -> Canvas:
    """Three screws, three nuts, two washers and a hexagon key, each near its place on a mat."""
    canvas = Canvas((118, 124, 128), draw)
    canvas.part(np.ones_like(canvas.classes), (118, 124, 128), 0, grain=4, cell=0.02)
    for row in range(3):
        x, y, angle = 0.27 + draw.normal(0, 0.015), 0.2 + 0.2 * row + draw.normal(0, 0.01), draw.normal(0, 0.15)
        shaft = canvas.mask(turned(box(-0.13, -0.012, 0.1, 0.012), angle, x, y))
        screw = shaft | canvas.mask(turned(box(0.09, -0.04, 0.13, 0.04), angle, x, y))
        canvas.shadow(screw, right=0.008, down=0.01, depth=0.25)
        canvas.part(screw, (196, 190, 176), 1, grain=10, cell=0.01)
        hexagon = turned(circle(0.05, 6), draw.uniform(0, np.pi), 0.58 + draw.normal(0, 0.01), y)
        nut = canvas.mask(hexagon) - canvas.mask((hexagon - hexagon.mean(axis=0)) * 0.45 + hexagon.mean(axis=0))
        canvas.shadow(nut, right=0.008, down=0.01, depth=0.25)
        canvas.part(nut, (186, 142, 60), 2, grain=6, cell=0.02)
    for row in range(2):
        x, y = 0.8 + draw.normal(0, 0.012), 0.26 + 0.24 * row + draw.normal(0, 0.012)
        washer = canvas.mask(turned(circle(0.07), 0, x, y)) - canvas.mask(turned(circle(0.03), 0, x, y))
        canvas.shadow(washer, right=0.006, down=0.008, depth=0.2)
        canvas.part(washer, (52, 50, 56), 3, grain=5, cell=0.02)
    x, y, angle = 0.45 + draw.normal(0, 0.02), 0.82 + draw.normal(0, 0.015), draw.normal(0, 0.1)
    long, short = box(-0.25, -0.01, 0.27, 0.01), box(0.25, -0.1, 0.27, 0.01)
    key = canvas.mask(turned(long, angle, x, y)) | canvas.mask(turned(short, angle, x, y))
    canvas.shadow(key, right=0.006, down=0.008, depth=0.25)
    canvas.part(key, (34, 32, 30), 4, grain=4, cell=0.02)
    return canvas


def meal_tray(draw: np.random.Generator) -> Canvas:
    """Rice, stew and peas side by side in a tray, a cup of sauce between them and a label along the side."""
    canvas = Canvas((70, 74, 84), draw)
    canvas.part(np.ones_like(canvas.classes), (70, 74, 84), 0, grain=3, cell=0.05)
    x, y = draw.normal(0, 0.01, size=2)
    split, level = 0.52 + draw.normal(0, 0.02), 0.56 + draw.normal(0, 0.02)
    slope = draw.normal(0, 0.02)
    tray = canvas.mask(np.array(box(0.1, 0.1, 0.9, 0.9)) + (x, y))
    canvas.shadow(tray, right=0.012, down=0.015, depth=0.3)
    rice = np.array([(0.1, 0.1), (split - slope, 0.1), (split + slope, 0.78), (0.1, 0.78)]) + (x, y)
    stew = np.array([(split - slope, 0.1), (0.9, 0.1), (0.9, level), (split, level + slope)]) + (x, y)
    peas = np.array([(split, level + slope), (0.9, level), (0.9, 0.78), (split + slope, 0.78)]) + (x, y)
    canvas.part(canvas.mask(rice), (226, 218, 196), 1, grain=9, cell=0.015)
    canvas.part(canvas.mask(stew), (168, 84, 38), 2, grain=14, cell=0.05)
    canvas.part(canvas.mask(peas), (92, 146, 52), 3, grain=16, cell=0.03)
    cup = canvas.mask(turned(circle(0.11), 0, split + x + draw.normal(0, 0.015), 0.42 + y + draw.normal(0, 0.02)))
    canvas.part(cup, (150, 22, 30), 4, grain=4, cell=0.1)
    canvas.part(canvas.mask(np.array(box(0.1, 0.78, 0.9, 0.9)) + (x, y)), (238, 236, 240), 5, grain=2, cell=0.1)
    for line in range(12):  # print on the label belongs to it
        left = 0.16 + 0.06 * line
        canvas.part(
            canvas.mask(np.array(box(left, 0.82, left + 0.03, 0.85)) + (x, y)), (60, 60, 90), 5, grain=1, cell=0.1
        )
    return canvas


def terminal_box(draw: np.random.Generator) -> Canvas:
    """Four wires, each of its own colour, that hang between two terminal blocks on a light plate."""
    canvas = Canvas((204, 202, 194), draw)
    canvas.part(np.ones_like(canvas.classes), (204, 202, 194), 0, grain=3, cell=0.03)
    x, y = draw.normal(0, 0.012, size=2)
    along = np.linspace(0, 1, 40)
    for number, colour in enumerate([(176, 36, 34), (40, 70, 150), (60, 60, 58), (120, 150, 40)]):
        top, bottom = 0.2 + 0.13 * number, 0.22 + 0.15 * number + draw.normal(0, 0.01)
        sag = 0.05 + abs(draw.normal(0, 0.02))
        line = np.stack([0.2 + 0.6 * along, top + (bottom - top) * along + sag * np.sin(np.pi * along)], axis=1)
        wire = canvas.stroke(line + (x, y), 0.017)
        canvas.shadow(wire, right=0.006, down=0.012, depth=0.2)
        canvas.part(wire, colour, 1 + number, grain=3, cell=0.05)
    for left, number in ((0.12, 5), (0.8, 6)):
        block = canvas.mask(np.array(box(left, 0.14, left + 0.09, 0.76)) + (x, y))
        canvas.shadow(block, right=0.008, down=0.01, depth=0.25)
        canvas.part(block, (50, 110, 80) if number == 5 else (228, 150, 50), number, grain=4, cell=0.05)
    return canvas


PRODUCTS: dict[str, Product] = {"screw_kit": screw_kit, "meal_tray": meal_tray, "terminal_box": terminal_box}
