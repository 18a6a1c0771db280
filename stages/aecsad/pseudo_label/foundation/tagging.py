"""Tags of an image, with the probability of each and the threshold it is held against."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from stages.aecsad.pseudo_label.foundation.imagenet import normalised
from stages.aecsad.pseudo_label.foundation.ram_plus import RamPlus
from stages.core.image_files.reading import resize_image
from stages.core.running.errors import UserError


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
        raise UserError(f"{thresholds}: a threshold lies outside 0 to 1: fetch it again")
    return TagList(tuple(found), values)


class Tagger:
    """RAM++ with its tag list."""

    def __init__(self, network: RamPlus, tags: TagList, *, device: torch.device) -> None:
        """
        Raises:
            ValueError: the network knows another number of tags than the list.
        """
        if network.config.tags != len(tags.names):
            raise ValueError(f"{len(tags.names)} names for a network of {network.config.tags} tags")
        self.network = network.to(device)
        self.tags = tags
        self.device = device

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], *, near: float = 0.0) -> list[Tag]:
        """The tags of one RGB image in the list's order.

        Args:
            near: how far below its threshold a tag's probability may lie to be returned all the same.
        """
        pixels = tagging_input(image, size=self.network.config.image_size)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            logits = self.network(pixels[None].to(self.device))
        return tags_of(logits[0], self.tags, near=near)


def tagging_input(image: UInt8[np.ndarray, "H W 3"], *, size: int) -> Float[Tensor, "3 size size"]:
    """Squashed to a square (the aspect ratio is not kept) by PIL's antialiased bilinear filter, then normalised.

    Another filter gives other tags: the network was trained on these pixels.
    """
    return normalised(resize_image(image, size))


def tags_of(logits: Float[Tensor, " tags"], tags: TagList, *, near: float = 0.0) -> list[Tag]:
    """The tags whose probability is above their threshold less `near`."""
    probabilities = logits.float().sigmoid().cpu().numpy()
    chosen = np.flatnonzero(probabilities > tags.thresholds - near)
    return [Tag(tags.names[i], float(probabilities[i]), float(tags.thresholds[i])) for i in chosen]
