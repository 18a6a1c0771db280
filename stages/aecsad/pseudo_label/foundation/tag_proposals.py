"""From the tags of many images to proposals: which words may name parts, and which the ground."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.aecsad.pseudo_label.foundation.tagging import Tag
from stages.aecsad.pseudo_label.prompts import is_one_class

# What usually carries or holds a product. A person has the last word.
GROUND_WORDS = frozenset([
    "background", "backdrop", "board", "cardboard", "carpet", "cloth", "conveyor", "counter top", "desk", "floor",
    "ground", "mat", "paper", "plane", "plastic bag", "platform", "shopping bag", "surface", "table", "tablecloth",
    "tray", "wall", "white background", "wood", "wood floor", "workbench",
])  # fmt: skip
# Words for how something looks or what happens, not for a thing that has a box.
NO_THINGS = frozenset([
    "attach", "black", "blue", "bright", "brown", "close-up", "color", "contain", "cut", "dark", "display", "drop",
    "empty", "fill", "gray", "green", "group", "hang", "hold", "image", "lay", "light", "open", "photo", "picture",
    "pile", "pink", "place", "purple", "red", "reflect", "row", "shape", "shine", "sit", "stack", "stand", "stuff",
    "tie", "white", "yellow",
])  # fmt: skip


def summarise_tags(images: Sequence[Sequence[Tag]]) -> list[dict[str, Any]]:
    """One row a tag: share of images in which it applies, mean probability where it was near or applied, threshold.

    Args:
        images: the tags of each image, near misses included.

    Returns:
        Rows {"tag", "share", "probability", "threshold"}, by falling share, probability, then name.
    """
    found: dict[str, list[Tag]] = defaultdict(list)
    for tags in images:
        for tag in tags:
            found[tag.name].append(tag)
    rows = [
        {
            "tag": name,
            "share": round(sum(tag.applies for tag in tags) / len(images), 3),
            "probability": round(float(np.mean([tag.probability for tag in tags])), 3),
            "threshold": round(tags[0].threshold, 3),
        }
        for name, tags in found.items()
    ]
    return sorted(rows, key=lambda row: (-float(str(row["share"])), -float(str(row["probability"])), row["tag"]))


def suggest(rows: Sequence[Mapping[str, Any]], *, min_share: float) -> dict[str, tuple[str, ...]]:
    """Tags of at least `min_share` of the images that name things and can be prompts; ground words apart."""
    frequent = [str(row["tag"]) for row in rows if row["share"] >= min_share and row["tag"] not in NO_THINGS]
    frequent = [tag for tag in frequent if is_one_class(tag)]
    return {
        "objects": tuple(tag for tag in frequent if tag not in GROUND_WORDS),
        "background": tuple(tag for tag in frequent if tag in GROUND_WORDS),
    }
