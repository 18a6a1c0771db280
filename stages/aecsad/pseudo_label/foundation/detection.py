"""Boxes of the things that words name in an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly
from stages.aecsad.pseudo_label.foundation.grounding_text import Caption, captions_of, class_scores
from stages.aecsad.pseudo_label.foundation.imagenet import normalised

SHORT_SIDE, LONG_SIDE = 800, 1333  # pixels: the published preprocessing


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
        """
        Args:
            classes: words or short phrases without full stop.
            box_threshold: a box is kept when a token of any class is more probable.
            text_threshold: a box is of a class when a token of that class is more probable.

        Raises:
            UserError: a class cannot be written into a caption.
        """
        self.network: Any = network.to(device)
        self.captions = captions_of(classes, self.network.tokenizer)
        self.classes = tuple(classes)
        self.box_threshold, self.text_threshold, self.device = box_threshold, text_threshold, device

    @torch.no_grad()
    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Detections:
        """Boxes in one RGB image, best first; classes that do not fit into one caption are asked for in turn."""
        pixels = detection_input(image).to(self.device)
        found = [self.ask(pixels, caption, size=image.shape[:2]) for caption in self.captions]
        boxes, scores, classes = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes[order], scores[order], classes[order])

    def ask(
        self, pixels: Float[Tensor, "3 h w"], caption: Caption, *, size: Sequence[int]
    ) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """Boxes, scores and classes of one caption; float16 products on a GPU, where they are twice as fast."""
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
    """The shorter side to 800 px unless the longer one then exceeds 1333; bilinear, antialiased, normalised."""
    height, width = image.shape[:2]
    scale = min(SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return normalised(np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)))


def corners(boxes: Float[Tensor, "n 4"], *, height: int, width: int) -> Float[Tensor, "n 4"]:
    """Relative centre, width and height as corners in pixels, cut at the image's border."""
    centre, extent = boxes[:, :2], boxes[:, 2:]
    scale = torch.tensor([width, height], dtype=boxes.dtype)
    first = ((centre - extent / 2) * scale).clamp(min=0)
    second = torch.minimum((centre + extent / 2) * scale, scale)
    return torch.cat([first, second], dim=1)
