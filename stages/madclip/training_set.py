"""The shots in all their variants, as features of the frozen encoder: computed once, then read."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stages.core.clip.feature_cache import CachedFeatures, key_of
from stages.core.clip.file_features import stack_features
from stages.core.running.console import progress
from stages.madclip.augmentation import augment
from stages.madclip.shots import LabelledShots


@dataclass(frozen=True)
class Batch:
    """What one step works on."""

    tokens: Float[Tensor, "B L T W"]
    labels: Float[Tensor, " B"]
    masks: Float[Tensor, "B S S"]
    has_mask: Bool[Tensor, " B"]


@dataclass(frozen=True)
class TrainingSet:
    """All variants of all shots; `keys` name their features in the cache."""

    images: Float[Tensor, "N 3 S S"]
    masks: Float[Tensor, "N S S"]
    labels: Float[Tensor, " N"]
    has_mask: Bool[Tensor, " N"]
    keys: tuple[str, ...]
    cached: CachedFeatures

    def batch(self, rows: Int64[Tensor, " B"]) -> Batch:
        """Some rows on the encoder's device; features that the cache lost are computed anew."""
        device = self.cached.encoder.device
        features = [self.cached.recall(self.keys[row], self.images[row].clone) for row in rows.tolist()]
        return Batch(
            stack_features(features, device).tokens,
            *(values[rows].to(device) for values in (self.labels, self.masks, self.has_mask)),
        )


def build_training_set(
    shots: LabelledShots, cached: CachedFeatures, *, zoom_and_jitter: bool, generator: torch.Generator
) -> TrainingSet:
    """Make the variants and compute the features that are not in the cache yet."""
    variants = augment(shots.shots, zoom_and_jitter=zoom_and_jitter, generator=generator)
    copies = len(variants.images) // len(shots.labels)
    keys = tuple(key_of(image) for image in variants.images)
    for key, image in progress(zip(keys, variants.images, strict=True), total=len(keys), label="features of the shots"):
        cached.recall(key, image.clone)
    labels, has_mask = shots.labels.repeat(copies), shots.has_mask.repeat(copies)
    return TrainingSet(variants.images, variants.masks, labels, has_mask, keys, cached)


def draw_rows(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " B"]]:
    """Batches of row numbers, epoch after epoch in a new order; the last batch of an epoch may be smaller."""
    while True:
        yield from torch.randperm(count, generator=generator).split(batch_size)
