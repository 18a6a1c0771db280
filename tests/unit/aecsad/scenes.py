"""A scene whose components can be checked by eye, and settings with which a decoder learns them."""

import numpy as np
import torch

from stages.aecsad.segmentation.data import StageFeatures, TrainingSet
from stages.aecsad.segmentation.params import AugmentationParams, LossWeights, SegmentationParams

PASTE = {"min_distance": 0.2, "min_pastes": 1, "max_pastes": 1}
PARAMS = SegmentationParams(
    width=8, iterations=40, supervised_share=0.5, batch_size=2, optimizer="adamw", schedule="one_cycle",
    learning_rate=0.02, weight_decay=0.0, loss_size=32,
    csad_exact=False, part_kinds=4, augmentation=AugmentationParams(copies=0, **PASTE),
    loss_weights=LossWeights(cross_entropy=0.5, focal=10.0, dice=1.0, histogram=10.0, entropy=1.0),
)  # fmt: skip


def square_scene() -> tuple[np.ndarray, np.ndarray]:
    """A red 10x10 square of class 1 on grey ground, 64 px."""
    image = np.full((64, 64, 3), 128, dtype=np.uint8)
    labels = np.zeros((64, 64), dtype=np.uint8)
    image[10:20, 10:20] = (200, 0, 0)
    labels[10:20, 10:20] = 1
    return image, labels


def feature_set(unlabelled: bool) -> TrainingSet:
    """Features that carry the class: the upper half is class 1, the lower class 0."""
    low = torch.zeros(6, 4, 16, 16, dtype=torch.float16)
    low[:, 0, :8] = 1.0
    features = StageFeatures(low, torch.zeros(6, 4, 4, 4, dtype=torch.float16))
    labels = torch.zeros(6, 64, 64, dtype=torch.uint8)
    labels[:, :32] = 1
    return TrainingSet(features, labels, features if unlabelled else None)
