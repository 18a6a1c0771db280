"""Fit the component segmentation on one product's pseudo-labels and apply it to every image."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8

from stages.aecsad.model.edited import EDITED, EditedPictures, write_edited
from stages.aecsad.model.label_maps import LABEL_MAPS, LabelMaps, write_label_maps, write_turns
from stages.aecsad.model.lineage import SEGMENTATION
from stages.aecsad.model.part_numbers import PartAreas, write_part_areas
from stages.aecsad.model.segmentor import CSAD_MOMENTUM, DEFAULT_MOMENTUM, Segmentor, labeller_of
from stages.aecsad.segmentation.data import build_training_set
from stages.aecsad.segmentation.params import SegmentationParams
from stages.aecsad.segmentation.training import train_segmentor, untrained_curve
from stages.core.encoder.device import cpu_threads, pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder, load_stack, read_ahead, to_float
from stages.core.io.lineage import content_hash
from stages.core.io.weights import write_weights
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.parallel import on_all_cores
from stages.core.run.params import EncoderParams

LOG = logging.getLogger(__name__)
MODEL = "model.safetensors"
SMALL_WIDTH = 64  # channels, up to which a second thread trains no faster


@dataclass(frozen=True)
class Fitted:
    """The trained decoder and its encoder; no decoder where the pseudo-labels have no component class.

    Attributes:
        curve: the course of the loss; without rows where nothing was trained.
    """

    segmentor: Segmentor | None
    encoder: FrozenEncoder
    image_size: int
    num_classes: int
    curve: pd.DataFrame

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """The decoder's tensors."""
        return {} if self.segmentor is None else self.segmentor.state_dict()

    @property
    def arguments(self) -> dict[str, Any]:
        """Plain JSON values for the weights file."""
        module = None if self.segmentor is None else self.segmentor.arguments
        return {"encoder": self.encoder.name, "image_size": self.image_size, "module": module}


def fit_segmentation(
    images: pd.DataFrame,
    folder: Path,
    pseudo_labels: LabelMaps,
    params: SegmentationParams,
    encoder_params: EncoderParams,
    *,
    seed: int,
) -> Fitted:
    """Train the decoder on the images of split "train".

    Raises:
        UserError: the pseudo-labels are not those of the training images or of another size, or none is labelled.
    """
    generator = seed_everything(seed)
    encoder = FrozenEncoder(encoder_params.network).to(pick_device())
    if not pseudo_labels.usable:
        LOG.warning("there are no component classes: nothing to segment, the histogram branch is excluded")
        return Fitted(None, encoder, encoder_params.image_size, pseudo_labels.num_classes, untrained_curve())
    train = images[images["split"] == "train"].set_index("image_id")
    check_pseudo_labels(pseudo_labels, list(train.index), size=encoder_params.image_size)
    stack = load_stack(folder, train.loc[list(pseudo_labels.image_ids), "file"], size=encoder_params.image_size)
    data = build_training_set(
        encoder, stack, pseudo_labels, params.augmentation, seed=seed, csad_exact=params.csad_exact
    )
    low, _, high = encoder.channels
    momentum = CSAD_MOMENTUM if params.csad_exact else DEFAULT_MOMENTUM
    segmentor = Segmentor((low, high), num_classes=pseudo_labels.num_classes, width=params.width, momentum=momentum)
    segmentor.to(encoder.mean.device)
    with cpu_threads(1 if params.width <= SMALL_WIDTH else None):
        curve = train_segmentor(segmentor, data, params, device=encoder.mean.device, generator=generator)
    segmentor.requires_grad_(False)
    return Fitted(segmentor, encoder, encoder_params.image_size, pseudo_labels.num_classes, curve)


def check_pseudo_labels(pseudo_labels: LabelMaps, image_ids: list[str], *, size: int) -> None:
    """Check that the decoder can learn from the pseudo-labels.

    Raises:
        UserError: they are of other images or of another size, or no image is labelled.
    """
    if sorted(image_ids) != sorted(pseudo_labels.image_ids):
        raise UserError("the pseudo-labels do not belong to these training images: run `dvc repro cluster`")
    if pseudo_labels.values.shape[1:] != (size, size):
        height, width = pseudo_labels.values.shape[1:]
        raise UserError(
            f"the pseudo-labels are of {height} x {width} pixels, encoder.image_size is {size}: run `dvc repro cluster`"
        )
    if not pseudo_labels.labelled.any():
        raise UserError("there are component classes, but no image is labelled: run `dvc repro cluster`")


def segment_images(fitted: Fitted, images: pd.DataFrame, folder: Path) -> LabelMaps:
    """Segment every image, by itself so that a map never depends on its neighbours in a batch."""
    stacks = read_ahead(folder, images["file"], size=fitted.image_size)
    values = label_values(fitted, stacks, total=len(images), label="label maps")
    labelled = np.ones(len(images), dtype=bool)
    return LabelMaps(tuple(images["image_id"]), values, fitted.num_classes, labelled)


def segment_edited(fitted: Fitted, edited: EditedPictures) -> EditedPictures:
    """Segment the edited pictures as if they were images of the product.

    Raises:
        UserError: they are of another size.
    """
    size = fitted.image_size
    if edited.values.shape[1:3] != (size, size):
        raise UserError(f"the edited pictures are not of {size} x {size} pixels: run `dvc repro pseudo_label`")
    return edited.with_values(
        label_values(fitted, one_by_one(edited), total=len(edited.values), label="edited pictures")
    )


def one_by_one(edited: EditedPictures) -> list[UInt8[torch.Tensor, "1 3 S S"]]:
    """Return the pictures as tensors; none where there is none, of which `Tensor.split` would make an empty one."""
    pictures = torch.from_numpy(edited.values).permute(0, 3, 1, 2).contiguous()
    return [pictures[row : row + 1] for row in range(len(pictures))]


def label_values(
    fitted: Fitted, stacks: Iterable[UInt8[torch.Tensor, "1 3 S S"]], *, total: int, label: str
) -> UInt8[np.ndarray, "N S S"]:
    """Return the label maps of `total` images; all background where nothing was trained."""
    size = fitted.image_size
    values = np.zeros((total, size, size), dtype=np.uint8)
    if fitted.segmentor is None:
        return values
    label_map = labeller_of(fitted.segmentor, size=size)

    def segment(stack: UInt8[torch.Tensor, "1 3 S S"]) -> UInt8[np.ndarray, "S S"]:
        low, _, high = fitted.encoder.recall(to_float(stack.to(fitted.encoder.mean.device)))
        return np.asarray(label_map(low, high)[0].cpu().numpy())

    for row, found in enumerate(progress(on_all_cores(segment, stacks), total=total, label=label)):
        values[row] = found
    return values


def write_segmentation(
    folder: Path,
    fitted: Fitted,
    label_maps: LabelMaps,
    edited: EditedPictures,
    turns: Mapping[int, LabelMaps],
    parts: Mapping[int, PartAreas],
) -> None:
    """Write label maps and areas of parts, also of edited pictures and of turns, and the model, all or nothing.

    The label maps name their model.

    Args:
        folder: of the stage.
        fitted: the model.
        label_maps: of all images.
        edited: label maps of the edited pictures.
        turns: label maps by fold.
        parts: of all images under VALIDATION_FOLD, of turns by fold.
    """
    with replacing_folder(folder) as temporary:
        write_weights(temporary / MODEL, fitted.state, fitted.arguments)
        made_from = {SEGMENTATION: content_hash(temporary / MODEL)}
        write_label_maps(temporary / LABEL_MAPS, label_maps, made_from=made_from)
        write_edited(temporary / EDITED, edited)
        write_turns(temporary, turns)
        for fold, areas in parts.items():
            write_part_areas(temporary, areas, fold=fold)
