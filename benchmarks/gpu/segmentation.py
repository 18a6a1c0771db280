"""The segmentation network: training steps as published and of profile `embedded`, and label maps."""

from functools import partial

import numpy as np
import torch

from benchmarks.gpu.inputs import draw, draw_images, encoder_name, section_of, untrained_encoder
from benchmarks.gpu.measure import Check, Fault, Outcome, Setting, timed_steps, weights_of
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.segmentor import DEFAULT_MOMENTUM, Segmentor
from stages.aecsad.segmentation.data import build_training_set
from stages.aecsad.segmentation.params import SegmentationParams
from stages.aecsad.segmentation.training import train_segmentor
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.encoder.lite0_weights import LITE0

STEPS, WARM_UP, SMALL_STEPS = 40, 5, 4  # in both the second half is semi-supervised
CLASSES = 3  # background, disc, square


def checks(setting: Setting) -> list[Check]:
    """List one check a profile."""
    return [
        Check("segmentation as published: training step, fresh augmentation", partial(train, profile="paper")),
        Check("segmentation of profile embedded: training step", partial(train, profile="embedded")),
    ]


def train(setting: Setting, *, profile: str) -> Outcome:
    """Train with the stage's functions on drawn images, half of them labelled, and segment an image."""
    size, count = (64, 8) if setting.small else (256, 24)
    changes = {"iterations": SMALL_STEPS if setting.small else WARM_UP + STEPS, "supervised_share": 0.5}
    if setting.small:
        changes |= {"width": 8, "loss_size": 64}
    params = section_of(SegmentationParams, "aecsad.segmentation", profile=profile, changes=changes)
    encoder = (
        untrained_encoder(encoder_name(setting), setting)
        if profile == "paper"
        else FrozenEncoder(LITE0).to(setting.device)
    )
    images = draw_images(count, size)
    labels = np.stack([draw(number, size)[1] for number in range(count)])
    names = tuple(f"train/{number:02d}" for number in range(count))
    maps = LabelMaps(names, labels, CLASSES, np.arange(count) < count // 2)
    data = build_training_set(encoder, images, maps, params.augmentation, seed=0, csad_exact=params.csad_exact)
    low, _, high = encoder.channels
    segmentor = Segmentor((low, high), num_classes=CLASSES, width=params.width, momentum=DEFAULT_MOMENTUM)
    segmentor.to(setting.device)
    with timed_steps(setting, warm_up=1 if setting.small else WARM_UP) as clock:
        curve = train_segmentor(
            segmentor, data, params, device=setting.device, generator=torch.Generator().manual_seed(0)
        )
    stem, _, deep = encoder(to_float(images[:1].to(setting.device)))
    label_map = segmentor.label_map(stem, deep, size=size)
    if label_map.shape != (1, size, size) or int(label_map.max()) >= CLASSES:
        raise Fault(f"a label map of shape {tuple(label_map.shape)} with classes up to {int(label_map.max())}")
    losses = torch.from_numpy(curve["loss"].to_numpy(copy=True))
    return Outcome([losses, *weights_of(segmentor)], clock.seconds, "step", f"batch {params.batch_size}")
