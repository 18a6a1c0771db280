"""Rotating validation: score training images by students, and a teacher's scale, that have not seen them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from stages.aecsad.model.label_maps import PastedImages
from stages.aecsad.student_teacher.fitting import fit_student_teacher
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.scoring import ScoredImages, score_images
from stages.core.io.rotation import rotations, with_rotated
from stages.core.run.params import EncoderParams


def add_turns(
    scored: ScoredImages,
    images: pd.DataFrame,
    folder: Path,
    params: StudentTeacherParams,
    encoder: EncoderParams,
    *,
    seed: int,
    pasted: PastedImages,
) -> ScoredImages:
    """Add the scores of each fold of training images by students that were trained on the other normal images.

    Maps are calibrated as those of `scored`: on the training images of the turn, or on its fold where
    `calibrated_on` is validation.

    Args:
        scored: by the students that judge new images.
        images: the image table; where validation does not rotate, `scored` stays as it is.
        folder: of the image files.
        params, encoder, seed: see `fit_student_teacher`.
        pasted: images with pasted components; a turn sees those made from its own training images.
    """
    turns = {}
    for fold, turned in rotations(images).items():
        own = pasted.of(turned["image_id"][turned["split"] == "train"])
        fitted = fit_student_teacher(turned, folder, params, encoder, seed=seed, pasted=own)
        turns[fold] = score_images(fitted, turned, folder, params.maps).table
    return replace(scored, table=with_rotated(scored.table, turns))
