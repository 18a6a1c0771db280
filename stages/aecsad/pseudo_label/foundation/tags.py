"""Tags: what RAM++ sees in a product's normal images, which words that suggests, and the report of it, tags.yaml.

A tag applies to an image when its probability is above its own threshold. A person has the last word on which words
name parts, and which the ground.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from stages.aecsad.pseudo_label.foundation.prompts import is_one_class
from stages.aecsad.pseudo_label.foundation.ram_plus import RamPlus, normalised
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.runtime.reading import resize_image

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
HEADER = """\
# Written by the pseudo_label stage, never read by it: proposals for a person. Put the words you agree with under
# categories.<name>.prompts of params.yaml. `share` is the share of images with the tag, `probability` its mean over the
# images that have it or miss its `threshold` by little (`near`).
"""


@dataclass(frozen=True)
class TagList:
    """Names and thresholds in the network's order.

    Attributes:
        thresholds: a tag applies when its probability is greater; 1 for tags that are never given.
    """

    names: tuple[str, ...]
    thresholds: Float32[np.ndarray, " tags"]


@dataclass(frozen=True)
class Tag:
    """A tag of one image: it applies when its probability is above its threshold."""

    name: str
    probability: float
    threshold: float

    @property
    def applies(self) -> bool:
        """Whether the probability is above the threshold."""
        return self.probability > self.threshold


def read_tag_list(names: Path, thresholds: Path) -> TagList:
    """Read the two published text files, one entry a line.

    Raises:
        UserError: they differ in length, a name occurs twice, or a threshold is not a number in [0, 1].
    """
    found = [line.strip() for line in names.read_text(encoding="utf-8").splitlines()]
    lines = thresholds.read_text(encoding="utf-8").splitlines()
    if len(found) != len(lines):
        raise UserError(f"{names} has {len(found)} tags, {thresholds} has {len(lines)} thresholds: fetch both again")
    if len(set(found)) != len(found) or "" in found:
        raise UserError(f"{names}: an empty tag, or one that occurs twice: fetch it again")
    try:
        values = np.array([float(line) for line in lines], dtype=np.float32)
    except ValueError as error:
        raise UserError(f"{thresholds}: {error}: fetch it again") from None
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(f"{thresholds}: a threshold is outside 0 to 1: fetch it again")
    return TagList(tuple(found), values)


class Tagger:
    """RAM++ with its tag list."""

    def __init__(self, network: RamPlus, tags: TagList, *, device: torch.device) -> None:
        """Put the network onto the device.

        Raises:
            ValueError: the network knows another number of tags than the list.
        """
        if network.config.tags != len(tags.names):
            raise ValueError(f"{len(tags.names)} names for a network of {network.config.tags} tags")
        self.network = network.to(device)
        self.tags = tags
        self.device = device

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], *, near: float = 0.0) -> list[Tag]:
        """Return the tags of one RGB image in the list's order.

        Args:
            near: how far below its threshold a tag's probability may be for the tag to be returned nevertheless.
        """
        pixels = tagging_input(image, size=self.network.config.image_size)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            logits = self.network(pixels[None].to(self.device))
        return tags_of(logits[0], self.tags, near=near)


def tagging_input(image: UInt8[np.ndarray, "H W 3"], *, size: int) -> Float[Tensor, "3 size size"]:
    """Squash to a square (the aspect ratio is not kept) by PIL's antialiased bilinear filter, then normalise.

    Another filter gives other tags: the network was trained on these pixels.
    """
    return normalised(resize_image(image, size))


def tags_of(logits: Float[Tensor, " tags"], tags: TagList, *, near: float = 0.0) -> list[Tag]:
    """Return the tags whose probability is above their threshold less `near`."""
    probabilities = logits.float().sigmoid().cpu().numpy()
    chosen = np.flatnonzero(probabilities > tags.thresholds - near)
    return [Tag(tags.names[i], float(probabilities[i]), float(tags.thresholds[i])) for i in chosen]


def summarise_tags(images: Sequence[Sequence[Tag]]) -> list[dict[str, Any]]:
    """Return for each tag the share of images where it applies, its mean probability where near, and its threshold.

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
    """Suggest tags of at least `min_share` of the images that name things and can be prompts; ground words apart."""
    frequent = [str(row["tag"]) for row in rows if row["share"] >= min_share and row["tag"] not in NO_THINGS]
    frequent = [tag for tag in frequent if is_one_class(tag)]
    return {
        "objects": tuple(tag for tag in frequent if tag not in GROUND_WORDS),
        "background": tuple(tag for tag in frequent if tag in GROUND_WORDS),
    }


@dataclass(frozen=True)
class TagReport:
    """The tags, the words they suggest, and the words that were used.

    Attributes:
        images: number of images that were tagged.
        tags: one mapping a tag, most frequent first.
        suggested: "objects" and "background" by simple rules.
        used: the prompts that made the masks.
        source: whose words those are.
    """

    images: int
    tags: tuple[Mapping[str, Any], ...]
    suggested: Mapping[str, tuple[str, ...]]
    used: Mapping[str, Any]
    source: str


def write_tags(path: Path, report: TagReport | None, *, proposer: str) -> None:
    """Write YAML for people; for a proposer that reads no words, just that."""
    content: dict[str, Any] = {"proposer": proposer}
    if report is None:
        content["tags"] = "not asked for: this proposer reads no words"
    else:
        content |= {
            "human_input": report.source,
            "used": plain(report.used),
            "tagged_images": report.images,
            "suggested": plain(report.suggested),
            "tags": [dict(tag) for tag in report.tags],
        }
    with replacing_file(path) as temporary:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        temporary.write_text(HEADER + text, encoding="utf-8")


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tuples into lists, which YAML has a plain form for."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
