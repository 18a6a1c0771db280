"""Drawn food and slices through a body: layers, levels and organs that touch and vary in size."""

import numpy as np

from benchmarks.studies.canvas import Canvas, box, circle, turned


def meal_tray(draw: np.random.Generator) -> Canvas:
    """Rice, stew and peas side by side in a tray, a cup of sauce between them and a label along the side."""
    canvas = Canvas((70, 74, 84), draw)
    canvas.part(canvas.everywhere, (70, 74, 84), 0, grain=3, cell=0.05)
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


def salad_jar(draw: np.random.Generator) -> Canvas:
    """A jar with a lid and four layers whose levels vary; every second jar has beetroot where the others have corn."""
    canvas = Canvas((228, 226, 220), draw)
    canvas.part(canvas.everywhere, (228, 226, 220), 0, grain=2, cell=0.1)
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


def sandwich(draw: np.random.Generator) -> Canvas:
    """Two slices of bread around cheese, ham and lettuce, whose heights vary."""
    canvas = Canvas((92, 108, 122), draw)
    canvas.part(canvas.everywhere, (92, 108, 122), 0, grain=3, cell=0.05)
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


def belly_slice(draw: np.random.Generator) -> Canvas:
    """Liver, spleen, two kidneys, the aorta and a vertebra in fat under the skin, in grey as of a scanner."""
    canvas = Canvas((8, 8, 8), draw)
    x, y = 0.5 + draw.normal(0, 0.01), 0.5 + draw.normal(0, 0.01)

    def ellipse(right: float, down: float, width: float, height: float) -> np.ndarray:
        grown = 1 + draw.normal(0, 0.02)
        return canvas.mask(np.array(circle(1)) * (width * grown, height * grown) + (x + right, y + down))

    canvas.part(ellipse(0, 0, 0.45, 0.36), (146, 146, 146), 1, grain=5, cell=0.04)
    canvas.part(ellipse(0, 0, 0.41, 0.32), (66, 66, 66), 2, grain=6, cell=0.04)
    canvas.part(ellipse(-0.2, -0.06, 0.17, 0.2), (168, 168, 168), 3, grain=5, cell=0.03)
    canvas.part(ellipse(0.29, -0.02, 0.08, 0.14), (134, 134, 134), 4, grain=5, cell=0.03)
    for side in (-1, 1):
        canvas.part(ellipse(0.17 * side, 0.19, 0.065, 0.07), (196, 196, 196), 5, grain=5, cell=0.03)
    canvas.part(ellipse(0.05, 0.06, 0.035, 0.035), (214, 214, 214), 6, grain=3, cell=0.05)
    canvas.part(ellipse(0, 0.19, 0.085, 0.08), (238, 238, 238), 7, grain=5, cell=0.03)
    return canvas


def chocolates(draw: np.random.Generator) -> Canvas:
    """Nine chocolates of three kinds, in a fixed order, in a golden tray."""
    canvas = Canvas((120, 34, 46), draw)
    canvas.part(canvas.everywhere, (120, 34, 46), 0, grain=4, cell=0.02)
    x, y = 0.5 + draw.normal(0, 0.01), 0.5 + draw.normal(0, 0.01)
    canvas.part(canvas.mask(np.array(box(-0.4, -0.4, 0.4, 0.4)) + (x, y)), (206, 170, 92), 1, grain=6, cell=0.02)
    colours = {2: (62, 36, 26), 3: (134, 84, 52), 4: (236, 224, 198)}
    for place, number in enumerate((2, 3, 4, 3, 4, 2, 4, 2, 3)):
        row, column = divmod(place, 3)
        middle = (x + 0.25 * (column - 1) + draw.normal(0, 0.004), y + 0.25 * (row - 1) + draw.normal(0, 0.004))
        outline = circle(0.1) if number != 3 else box(-0.095, -0.095, 0.095, 0.095)
        piece = canvas.mask(turned(outline, draw.normal(0, 0.1), *middle))
        canvas.part(piece, colours[number], number, grain=5, cell=0.04)
    return canvas
