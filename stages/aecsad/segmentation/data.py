"""What the decoder trains on: features of labelled images with pasted components, and of unlabelled ones.

The features are computed once (`StageFeatures`); or labelled images are augmented differently each time they are
drawn, as in CSAD (`FreshImages`), by pasted components and small changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import Float16, Int64, UInt8
from torch import Tensor

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.pasting import paste_components
from stages.aecsad.segmentation.params import AugmentationParams
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.run.console import progress

BATCH = 8
Image = UInt8[np.ndarray, "H W 3"]
LabelMap = UInt8[np.ndarray, "H W"]
PROBABILITY = 0.5  # of each of the two changes
SHIFT, SCALE = 0.01, 0.01  # shares of the image's side
ROTATION = 2.0  # degrees
LIGHT = 0.05  # of contrast, and of brightness as a share of the full range


@dataclass(frozen=True)
class StageFeatures:
    """Features at stride 4 and 16 in float16 on the CPU: 0.25 MB an image with EfficientNet-Lite0 at 256 px.

    They are laid out for convolutions, once for all iterations.
    """

    low: Float16[Tensor, "N c h w"]
    high: Float16[Tensor, "N C k l"]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.low)

    def batch(self, rows: Int64[Tensor, " B"], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return float32 features of some rows."""
        return self.low[rows].to(device).float(), self.high[rows].to(device).float()


def encode(encoder: FrozenEncoder, images: UInt8[Tensor, "N 3 S S"], *, label: str) -> StageFeatures:
    """Run the encoder over the images.

    Raises:
        ValueError: no image.
    """
    if not len(images):
        raise ValueError("no image to encode")
    starts = range(0, len(images), BATCH)
    batches: list[Sequence[Tensor]] = [
        [
            level.half().cpu()
            for level in encoder.recall(to_float(images[start : start + BATCH].to(encoder.mean.device)))
        ]
        for start in progress(starts, total=len(starts), label=label)
    ]
    low, high = (torch.cat([batch[level] for batch in batches]) for level in (0, 2))
    return StageFeatures(*(level.contiguous(memory_format=torch.channels_last) for level in (low, high)))


def change_slightly(image: Image, labels: LabelMap, *, random: np.random.Generator) -> tuple[Image, LabelMap]:
    """Shift, scale and turn both, and change the image's light, each of the two in half of the cases.

    Labels are warped by nearest neighbour; what comes in from outside is black, and background.
    """
    if random.random() < PROBABILITY:
        image, labels = warp_slightly(image, labels, random=random)
    if random.random() < PROBABILITY:
        contrast, brightness = random.uniform(-LIGHT, LIGHT, size=2)
        changed = image.astype(np.float32) * np.float32(1 + contrast) + np.float32(255 * brightness)
        image = np.clip(changed.round(), 0, 255).astype(np.uint8)
    return image, labels


def warp_slightly(image: Image, labels: LabelMap, *, random: np.random.Generator) -> tuple[Image, LabelMap]:
    """Apply one affine map to both, about the image's centre."""
    height, width = labels.shape
    angle, scale = random.uniform(-ROTATION, ROTATION), 1 + random.uniform(-SCALE, SCALE)
    warp = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    right, down = random.uniform(-SHIFT, SHIFT, size=2)
    warp[:, 2] += (right * width, down * height)
    moved = cv2.warpAffine(image, warp, (width, height), flags=cv2.INTER_LINEAR)
    return moved, cv2.warpAffine(labels, warp, (width, height), flags=cv2.INTER_NEAREST)


@dataclass(frozen=True)
class FreshImages:
    """Images and labels before augmentation; CSAD's way, which takes an encoder pass a batch.

    Attributes:
        paste: `paste_components` with all settings but `random`.
        seed: together with the number of the iteration it decides every augmentation.
    """

    encoder: FrozenEncoder
    images: UInt8[np.ndarray, "N S S 3"]
    labels: UInt8[np.ndarray, "N S S"]
    paste: Callable[..., tuple[np.ndarray, np.ndarray]]
    seed: int

    def batch(self, rows: Int64[Tensor, " B"], *, step: int) -> tuple[tuple[Tensor, Tensor], UInt8[Tensor, "B S S"]]:
        """Augment some images, and return their features at stride 4 and 16 and their labels."""
        random = np.random.default_rng([self.seed, step])
        pairs = [self.augment(int(row), random) for row in rows]
        stack = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
        low, _, high = self.encoder(to_float(stack.to(self.encoder.mean.device)))
        return (low, high), torch.from_numpy(np.stack([labels for _, labels in pairs]))

    def augment(
        self, row: int, random: np.random.Generator
    ) -> tuple[UInt8[np.ndarray, "S S 3"], UInt8[np.ndarray, "S S"]]:
        """Paste components into one image and change it slightly."""
        pasted = self.paste(self.images[row], self.labels[row], random=random)
        return change_slightly(*pasted, random=random)


@dataclass(frozen=True)
class TrainingSet:
    """Features and pseudo-labels.

    Attributes:
        labelled, labels: row by row, the pasted variants included.
        unlabelled: None where every training image is labelled.
        fresh: the labelled images where they are augmented differently each time they are drawn, else None.
    """

    labelled: StageFeatures
    labels: UInt8[Tensor, "N S S"]
    unlabelled: StageFeatures | None
    fresh: FreshImages | None = None


def build_training_set(
    encoder: FrozenEncoder,
    images: UInt8[Tensor, "N 3 S S"],
    pseudo_labels: LabelMaps,
    augmentation: AugmentationParams,
    *,
    csad_exact: bool,
    seed: int,
) -> TrainingSet:
    """Encode the labelled images, `augmentation.copies` pasted variants of each, and the unlabelled images.

    The variants are drawn once and not in every epoch, so that the frozen encoder sees each of them once; with "fresh"
    there are none, but see `FreshImages`.

    Args:
        images: the training images in the order of `pseudo_labels`; at least one is labelled.
        csad_exact: warp labels as the published code does, see `paste_components`.
    """
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(pseudo_labels.labelled)
    pictures = [images[row].permute(1, 2, 0).numpy() for row in chosen]
    paste = partial(
        paste_components, min_distance=augmentation.min_distance, min_pastes=augmentation.min_pastes,
        max_pastes=augmentation.max_pastes, csad_exact=csad_exact,
    )  # fmt: skip
    copies = augmentation.copies
    pairs = [(picture, pseudo_labels.values[row]) for picture, row in zip(pictures, chosen, strict=True)]
    pasted = [paste(*pair, random=random) for _ in range(0 if copies == "fresh" else copies) for pair in pairs]
    stack = torch.from_numpy(np.stack([picture for picture, _ in pairs + pasted])).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.stack([label_map for _, label_map in pairs + pasted]))
    fresh = None
    if copies == "fresh":
        originals, original_labels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        fresh = FreshImages(encoder, originals, original_labels, paste, seed)
    rest = images[torch.from_numpy(np.flatnonzero(~pseudo_labels.labelled))]
    return TrainingSet(
        encode(encoder, stack, label="labelled images"),
        labels,
        encode(encoder, rest, label="unlabelled images") if len(rest) else None,
        fresh,
    )
