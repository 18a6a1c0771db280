"""Find boxes of the things that words name in an image, and the parts among SAM's many masks.

A mask is a part when it is not the ground, inside the named things, and not covered by other masks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from stages.aecsad.pseudo_label.foundation.grounding_dino import Caption, captions_of, class_scores, quietly
from stages.aecsad.pseudo_label.foundation.masks import Masks, encode, intersections
from stages.aecsad.pseudo_label.foundation.ram_plus import normalised

SHORT_SIDE, LONG_SIDE = 800, 1333  # pixels: the published preprocessing
MIN_PIXELS = 50  # CSAD's smallest region
WHOLE_IMAGE = 0.95  # a region whose box is larger is the ground or a frame
MOST = 255  # largest masks that are looked at; CSAD's limit by its 8-bit files


@dataclass(frozen=True)
class Detections:
    """N boxes.

    Attributes:
        boxes: x1, y1, x2, y2 in pixels of the image, within it.
        scores: probability of the best token of any class, in [0, 1].
        classes: number of the best class; -1 where none is above the text threshold.
    """

    boxes: Float32[np.ndarray, "N 4"]
    scores: Float32[np.ndarray, " N"]
    classes: Int64[np.ndarray, " N"]


class Detector:
    """GroundingDINO for a fixed list of classes."""

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        *,
        box_threshold: float,
        text_threshold: float,
        device: torch.device,
    ) -> None:
        """Put the network onto the device and make its captions.

        Args:
            network: GroundingDINO.
            classes: words or short phrases without full stop.
            box_threshold: a box is kept when a token of any class is more probable.
            text_threshold: a box is of a class when a token of that class is more probable.
            device: where it runs.

        Raises:
            UserError: a class cannot be written into a caption.
        """
        self.network: Any = network.to(device)
        self.captions = captions_of(classes, self.network.tokenizer)
        self.classes = tuple(classes)
        self.box_threshold, self.text_threshold, self.device = box_threshold, text_threshold, device

    @torch.no_grad()
    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Detections:
        """Find boxes in one RGB image, best first; classes that do not fit into one caption are asked for in turn."""
        pixels = detection_input(image).to(self.device)
        found = [self.ask(pixels, caption, size=image.shape[:2]) for caption in self.captions]
        boxes, scores, classes = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes[order], scores[order], classes[order])

    def ask(
        self, pixels: Float[Tensor, "3 h w"], caption: Caption, *, size: Sequence[int]
    ) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """Return boxes, scores and classes of one caption; float16 products on a GPU, where they are twice as fast."""
        with quietly(), torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            answer = self.network(pixels[None], captions=[caption.text])
        probabilities = answer["pred_logits"][0].float().sigmoid().cpu()
        best, position = class_scores(probabilities, caption).max(dim=1)
        kept = best > self.box_threshold
        classes = torch.tensor(caption.classes)[position]
        classes[best <= self.text_threshold] = -1
        boxes = corners(answer["pred_boxes"][0].float().cpu()[kept], height=size[0], width=size[1])
        return boxes.numpy(), best[kept].numpy(), classes[kept].numpy()


def detection_input(image: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "3 h w"]:
    """Resize the shorter side to 800 px unless the longer one then exceeds 1333; bilinear, antialiased, normalised."""
    height, width = image.shape[:2]
    scale = min(SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return normalised(np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)))


def corners(boxes: Float[Tensor, "n 4"], *, height: int, width: int) -> Float[Tensor, "n 4"]:
    """Convert relative centre, width and height to corners in pixels, cut at the image's border."""
    centre, extent = boxes[:, :2], boxes[:, 2:]
    scale = torch.tensor([width, height], dtype=boxes.dtype)
    first = ((centre - extent / 2) * scale).clamp(min=0)
    second = torch.minimum((centre + extent / 2) * scale, scale)
    return torch.cat([first, second], dim=1)


def filter_masks(
    masks: Masks,
    *,
    named: Masks | None,
    grounds: Masks,
    min_inside: float,
    max_ground: float,
    max_covered: float,
    min_area: float,
) -> Masks:
    """Filter masks in the two stages of CSAD and AeCSAD (Hsieh & Lai, BMVC 2024; AeCSAD thesis 4.2.1).

        r(A, B) = |A ∩ B| / min(|A|, |B|)

    Stage 1 keeps a mask m when r(union of named, m) > min_inside, unless `named` is None, and
    r(g, m) < max_ground for every ground g. Stage 2 is `without_repetition`.

    Args:
        masks: connected regions, see `split_regions`.
        named: masks of the things that the prompts name, which may be none; None takes masks wherever they are.
        grounds: masks of the ground: SAM's at the image's corners, and that of the background prompts.
        min_area: masks of no more than this share of the image are excluded.
    """
    kept = overlap(masks, grounds).max(axis=1, initial=0) < max_ground
    if named is not None:
        kept &= overlap(masks, named.union()).max(axis=1, initial=0) > min_inside
    first = masks.only(kept)
    largest = first.only(np.argsort(-first.areas, kind="stable")[:MOST])
    return without_repetition(largest, max_covered=max_covered, min_area=min_area)


def overlap(masks: Masks, others: Masks) -> Float64[np.ndarray, "N M"]:
    """Return r(mask, other) for every pair, in [0, 1]."""
    smaller = np.minimum(masks.areas[:, None], others.areas[None, :])
    return np.asarray(intersections(masks, others) / np.maximum(smaller, 1))


def without_repetition(masks: Masks, *, max_covered: float, min_area: float) -> Masks:
    """Choose masks that add something, greedily from small to large.

    A mask is taken when r(union so far, mask) < max_covered, so that small masks inside a large one exclude it. Of the
    others, those are then taken, in the same order, whose own covered share is below `max_covered`: the large ones
    return where the small ones do not fill them.
    """
    areas = masks.areas
    order = [int(i) for i in np.argsort(areas, kind="stable") if areas[i] > min_area * masks.height * masks.width]
    taken: list[int] = []
    waiting: list[int] = []
    covered = Masks(masks.height, masks.width, ())
    for number in order:
        share = covered_pixels(covered, masks, number) / max(min(int(covered.areas.sum()), int(areas[number])), 1)
        if share < max_covered:
            taken.append(number)
            covered = masks.only([number]) if not len(covered) else add(covered, masks, number)
        else:
            waiting.append(number)
    for number in waiting:
        if covered_pixels(covered, masks, number) / int(areas[number]) < max_covered:
            taken.append(number)
            covered = add(covered, masks, number)
    return masks.only(taken)


def covered_pixels(covered: Masks, masks: Masks, number: int) -> int:
    """Count the pixels of one mask that the union so far covers."""
    return int(intersections(masks.only([number]), covered).sum())


def add(covered: Masks, masks: Masks, number: int) -> Masks:
    """Return the union with one more mask."""
    return Masks(masks.height, masks.width, covered.runs + masks.only([number]).runs).union()


def split_regions(masks: Masks) -> Masks:
    """Split all masks into their 4-connected regions, one mask decoded at a time, without specks and frames.

    The published code also takes the complement of a mask as one of its regions; that is no part.
    """
    parts = (region for mask in masks for region in regions(mask))
    return encode(parts, height=masks.height, width=masks.width)


def regions(mask: Bool[np.ndarray, "H W"]) -> Iterator[Bool[np.ndarray, "H W"]]:
    """Yield the regions of one mask that are more than a speck and less than the frame of the image."""
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    boxes: Int64[np.ndarray, " n"] = stats[:, cv2.CC_STAT_WIDTH].astype(np.int64) * stats[:, cv2.CC_STAT_HEIGHT]
    fit = (boxes < WHOLE_IMAGE * mask.size) & (stats[:, cv2.CC_STAT_AREA] > MIN_PIXELS)
    return (numbered == number for number in range(1, len(stats)) if fit[number])
