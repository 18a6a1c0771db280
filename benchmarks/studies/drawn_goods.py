"""Drawn technical goods: small parts on plain ground, wires, and large parts that touch each other."""

import numpy as np

from benchmarks.studies.canvas import Canvas, box, circle, turned


def screw_kit(draw: np.random.Generator) -> Canvas:
    """Three screws, three nuts, two washers and a hexagon key, each near its place on a mat."""
    canvas = Canvas((118, 124, 128), draw)
    canvas.part(canvas.everywhere, (118, 124, 128), 0, grain=4, cell=0.02)
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


def terminal_box(draw: np.random.Generator) -> Canvas:
    """Four wires, each of its own colour, that hang between two terminal blocks on a light plate."""
    canvas = Canvas((204, 202, 194), draw)
    canvas.part(canvas.everywhere, (204, 202, 194), 0, grain=3, cell=0.03)
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


def palette(draw: np.random.Generator) -> Canvas:
    """Six pans of make-up in four shades around a brush."""
    canvas = Canvas((30, 28, 32), draw)
    canvas.part(canvas.everywhere, (30, 28, 32), 0, grain=2, cell=0.05)
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
    canvas.part(canvas.everywhere, (150, 150, 146), 0, grain=3, cell=0.04)
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


def cable_section(draw: np.random.Generator) -> Canvas:
    """Three insulated cores with copper inside, in a sheath."""
    canvas = Canvas((236, 236, 238), draw)
    canvas.part(canvas.everywhere, (236, 236, 238), 0, grain=2, cell=0.1)
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
    canvas.part(canvas.everywhere, (196, 186, 170), 0, grain=6, cell=0.01)
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


def flange(draw: np.random.Generator) -> Canvas:
    """A painted ring with six brass bolts, a rubber seal and a steel pipe's end in the middle."""
    canvas = Canvas((108, 104, 98), draw)
    canvas.part(canvas.everywhere, (108, 104, 98), 0, grain=6, cell=0.015)
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
    canvas.part(canvas.everywhere, (186, 150, 108), 0, grain=5, cell=0.02)
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
    canvas.part(canvas.everywhere, (88, 92, 96), 0, grain=3, cell=0.05)
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
    canvas.part(canvas.everywhere, (120, 96, 76), 0, grain=5, cell=0.03)
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


def signal(draw: np.random.Generator) -> Canvas:
    """Three lamps with visors in a dark housing on a pole in front of the sky."""
    canvas = Canvas((166, 192, 216), draw)
    canvas.part(canvas.everywhere, (166, 192, 216), 0, grain=5, cell=0.2)
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
    canvas.part(canvas.everywhere, (58, 60, 66), 0, grain=3, cell=0.04)
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


def keypad(draw: np.random.Generator) -> Canvas:
    """Twelve keys and a display in a housing; three keys have a colour of their own."""
    canvas = Canvas((164, 160, 150), draw)
    canvas.part(canvas.everywhere, (164, 160, 150), 0, grain=4, cell=0.03)
    x, y, angle = 0.5 + draw.normal(0, 0.01), 0.5 + draw.normal(0, 0.01), draw.normal(0, 0.01)
    housing = canvas.mask(turned(box(-0.3, -0.44, 0.3, 0.44), angle, x, y))
    canvas.shadow(housing, right=0.015, down=0.015, depth=0.3)
    canvas.part(housing, (52, 56, 66), 1, grain=4, cell=0.02)
    canvas.part(canvas.mask(turned(box(-0.24, -0.39, 0.24, -0.21), angle, x, y)), (142, 166, 120), 2, grain=3, cell=0.1)
    for key in range(12):
        row, column = divmod(key, 3)
        left, top = -0.24 + 0.165 * column, -0.16 + 0.145 * row
        number, colour = {9: (4, (190, 48, 44)), 11: (5, (56, 140, 74))}.get(key, (3, (206, 204, 196)))
        corners = turned(box(left, top, left + 0.145, top + 0.12), angle, x, y)
        canvas.part(canvas.mask(corners), colour, number, grain=4, cell=0.05)
    return canvas


def wall_section(draw: np.random.Generator) -> Canvas:
    """Plaster, bricks, insulation, a board and cladding, upright layers whose widths vary."""
    canvas = Canvas((176, 188, 200), draw)
    canvas.part(canvas.everywhere, (176, 188, 200), 0, grain=3, cell=0.1)
    x, y = draw.normal(0, 0.01, size=2)
    left = 0.08
    layers = [(0.06, (226, 222, 212)), (0.25, (160, 80, 58)), (0.26, (222, 196, 96)), (0.08, (140, 112, 78))]
    for number, (width, colour) in enumerate([*layers, (0.14, (72, 84, 92))], start=1):
        right = left + width * (1 + draw.normal(0, 0.02))
        corners = np.array(box(left, 0.1, right, 0.9)) + (x, y)
        canvas.part(canvas.mask(corners), colour, number, grain=9, cell=0.02)
        left = right
    return canvas


def socket(draw: np.random.Generator) -> Canvas:
    """A frame around a plate with a round well that holds two dark holes and two metal clips."""
    canvas = Canvas((196, 186, 160), draw)
    canvas.part(canvas.everywhere, (196, 186, 160), 0, grain=5, cell=0.02)
    x, y, angle = 0.5 + draw.normal(0, 0.012), 0.5 + draw.normal(0, 0.012), draw.normal(0, 0.02)
    frame = canvas.mask(turned(box(-0.38, -0.38, 0.38, 0.38), angle, x, y))
    canvas.shadow(frame, right=0.012, down=0.012, depth=0.3)
    canvas.part(frame, (74, 78, 84), 1, grain=3, cell=0.05)
    canvas.part(canvas.mask(turned(box(-0.31, -0.31, 0.31, 0.31), angle, x, y)), (232, 230, 224), 2, grain=3, cell=0.08)
    canvas.part(canvas.mask(turned(circle(0.24), 0, x, y)), (202, 198, 190), 3, grain=3, cell=0.06)
    for side in (-1, 1):
        hole = np.array(circle(0.035)) + (0.1 * side, 0)
        canvas.part(canvas.mask(turned(hole.tolist(), angle, x, y)), (30, 30, 32), 4, grain=2, cell=0.05)
        clip = canvas.mask(turned(box(-0.05, 0.2 * side - 0.03, 0.05, 0.2 * side + 0.03), angle, x, y))
        canvas.part(clip, (178, 142, 84), 5, grain=4, cell=0.03)
    return canvas


def bus(draw: np.random.Generator) -> Canvas:
    """The side of a bus: body, five windows, a door and two wheels, on a road under the sky."""
    canvas = Canvas((178, 200, 222), draw)
    canvas.part(canvas.everywhere, (178, 200, 222), 0, grain=4, cell=0.2)
    x, y = draw.normal(0, 0.01), draw.normal(0, 0.006)
    canvas.part(canvas.mask(np.array(box(-0.1, 0.76, 1.1, 1.1)) + (0, y)), (96, 94, 92), 1, grain=6, cell=0.02)
    canvas.part(canvas.mask(np.array(box(0.06, 0.24, 0.94, 0.74)) + (x, y)), (204, 62, 40), 2, grain=4, cell=0.05)
    for window in range(5):
        left = 0.1 + 0.13 * window
        pane = canvas.mask(np.array(box(left, 0.3, left + 0.11, 0.48)) + (x, y))
        canvas.part(pane, (58, 74, 90), 3, grain=6, cell=0.05)
    canvas.part(canvas.mask(np.array(box(0.77, 0.3, 0.9, 0.71)) + (x, y)), (226, 224, 214), 4, grain=4, cell=0.05)
    for middle in (0.22, 0.66):
        canvas.part(canvas.mask(turned(circle(0.085), 0, middle + x, 0.74 + y)), (28, 28, 30), 5, grain=3, cell=0.03)
    return canvas


def confetti(draw: np.random.Generator) -> Canvas:
    """Any number of any pieces anywhere: nothing that is missing, further or elsewhere is an anomaly here."""
    canvas = Canvas((206, 202, 194), draw)
    canvas.part(canvas.everywhere, (206, 202, 194), 0, grain=4, cell=0.02)
    for _ in range(draw.integers(4, 26)):
        red, green, blue = draw.uniform(20, 235, size=3)
        (x, y), half = draw.uniform(0.05, 0.95, size=2), draw.uniform(0.02, 0.07)
        flat = half * draw.uniform(0.4, 1)
        outline = circle(half) if draw.random() < 0.5 else box(-half, -flat, half, flat)
        canvas.part(
            canvas.mask(turned(outline, draw.uniform(0, np.pi), x, y)), (red, green, blue), 1, grain=5, cell=0.02
        )
    return canvas
