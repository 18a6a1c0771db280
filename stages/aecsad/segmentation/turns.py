"""Rotating validation: segment normal images by decoders that were trained without one fold of them each."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.segmentation.fitting import Fitted, fit_segmentation, segment_images
from stages.aecsad.segmentation.params import SegmentationParams
from stages.core.io.rotation import rotations
from stages.core.run.params import EncoderParams

LOG = logging.getLogger(__name__)


def segment_turns(
    fitted: Fitted,
    images: pd.DataFrame,
    folder: Path,
    pseudo_labels: LabelMaps,
    params: SegmentationParams,
    encoder_params: EncoderParams,
    *,
    seed: int,
) -> dict[int, LabelMaps]:
    """Return for each fold the label maps of all normal images, by a decoder that has not seen the fold.

    Args:
        fitted: on all training images; without component classes it segments for all turns.
        images: the image table; none of it where validation does not rotate.
        folder: of the image files.
        pseudo_labels: of the training images.
        params, encoder_params, seed: see `fit_segmentation`.
    """
    found = {}
    for fold, turned in rotations(images).items():
        model = fitted
        if pseudo_labels.usable:
            labels = labels_of_turn(pseudo_labels, turned)
            known = turned[turned["image_id"].isin(labels.image_ids)]
            model = fit_segmentation(known, folder, labels, params, encoder_params, seed=seed)
        found[fold] = segment_images(model, turned, folder)
    return found


def labels_of_turn(pseudo_labels: LabelMaps, turned: pd.DataFrame) -> LabelMaps:
    """Return the pseudo-labels of a turn's training images.

    Validation images, which have none, are unlabelled ones, unless all images are labelled and so no training has any.
    Where every labelled image is in the fold, the turn relies on all pseudo-labels that it has, which is logged.

    Args:
        pseudo_labels: of the training images.
        turned: image table of the turn.
    """
    train = set(turned["image_id"][turned["split"] == "train"])
    rows = [row for row, image_id in enumerate(pseudo_labels.image_ids) if image_id in train]
    values, labelled = pseudo_labels.values[rows], pseudo_labels.labelled[rows]
    if not labelled.any():
        LOG.warning("a turn has no labelled image: all its %d pseudo-labels are taken as they are", len(rows))
        labelled = np.ones_like(labelled)
    known = tuple(pseudo_labels.image_ids[row] for row in rows)
    others = () if pseudo_labels.labelled.all() else tuple(sorted(train - set(known)))
    nothing = np.zeros((len(others), *values.shape[1:]), dtype=values.dtype)
    return LabelMaps(
        known + others,
        np.concatenate([values, nothing]),
        pseudo_labels.num_classes,
        np.concatenate([labelled, np.zeros(len(others), dtype=bool)]),
    )
