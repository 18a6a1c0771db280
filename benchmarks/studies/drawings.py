"""The drawn products of the component studies, in five rounds; each was fixed before anything was run on it.

1. `FIRST`: small and thin parts on plain ground, large touching parts, wires between terminal blocks. The screw kit led
   to the contrast that background difference finds by itself; the other two were seen when kinds of parts were first
   compared.
2. `TOUCHING`: large touching parts. Kinds by colour failed on three of them when the light changed, which led to
   `illumination_gains`.
3. `FURTHER`: more of the same. They showed that labels which agree between two shots need not be the true ones.
4. `DECIDING`: they decide between the two ways of making kinds, see `component_kinds`.
5. `CONFIRMING`: they decide how graph merging finds its height. The first eighteen showed that the height with the
   steadiest number of parts joins equal neighbours and whole layers. A way that takes the largest steady number instead
   (`steady_number`) was made on them. It stays if the mean panoptic quality of graph merging over these six is at least
   that of the way before (commit 3459f768), and goes otherwise.
"""

from benchmarks.studies.canvas import Product
from benchmarks.studies.drawn_food import (
    belly_slice,
    chest_slice,
    chocolates,
    knee_slice,
    meal_tray,
    salad_jar,
    sandwich,
    spine_slice,
)
from benchmarks.studies.drawn_goods import (
    battery_pack,
    bus,
    cable_section,
    flange,
    floor_tile,
    fuse_row,
    keypad,
    paint_tubes,
    palette,
    parcel,
    sash_window,
    screw_kit,
    signal,
    socket,
    terminal_box,
    wall_section,
)

FIRST: dict[str, Product] = {
    "screw_kit": screw_kit,
    "meal_tray": meal_tray,
    "terminal_box": terminal_box,
}
TOUCHING: dict[str, Product] = {
    "palette": palette,
    "battery_pack": battery_pack,
    "salad_jar": salad_jar,
    "spine_slice": spine_slice,
    "cable_section": cable_section,
    "sash_window": sash_window,
}
FURTHER: dict[str, Product] = {
    "knee_slice": knee_slice,
    "flange": flange,
    "paint_tubes": paint_tubes,
    "floor_tile": floor_tile,
    "parcel": parcel,
}
DECIDING: dict[str, Product] = {
    "sandwich": sandwich,
    "chest_slice": chest_slice,
    "signal": signal,
    "fuse_row": fuse_row,
}
CONFIRMING: dict[str, Product] = {
    "keypad": keypad,
    "wall_section": wall_section,
    "belly_slice": belly_slice,
    "socket": socket,
    "chocolates": chocolates,
    "bus": bus,
}
PRODUCTS: dict[str, Product] = {**FIRST, **TOUCHING, **FURTHER, **DECIDING, **CONFIRMING}
