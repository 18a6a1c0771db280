"""Run the teacher over the training images once and keep its features."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import FrozenEncoder, load_stack, to_float
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.sir.features.one_shot_views import one_shot_views
from stages.sir.features.params import TeacherParams, View
from stages.sir.model.feature_files import drawing_order, writing_features

LOG = logging.getLogger(__name__)
LARGEST_HALF = float(np.finfo(np.float16).max)
CHANGES: dict[View, Callable[[Tensor], Tensor]] = {
    "plain": lambda image: image,
    "mirrored": lambda image: image.flip(-1),
    "flipped": lambda image: image.flip(-2),
    "rotated_90": lambda image: image.rot90(1, (-2, -1)),
    "rotated_180": lambda image: image.rot90(2, (-2, -1)),
    "rotated_270": lambda image: image.rot90(3, (-2, -1)),
}


def cache_features(
    path: Path, images: pd.DataFrame, folder: Path, params: TeacherParams, *, category: str, seed: int
) -> int:
    """Write the features of the images of split "train"; the rest is not opened.

    Images of one colour are excluded and named in the log: there is nothing to learn from, and a repetition might hit
    one.

    Returns:
        The number of images kept.

    Raises:
        UserError: there is no usable image, one cannot be read, or the teacher's weights are missing.
    """
    train = images.loc[images["split"] == "train"].sort_values("image_id")
    if train.empty:
        raise UserError(f"{category} has no normal training image: SIR needs one at least; check the split's ratios")
    chosen = choose(train, limit=params.images, category=category, seed=seed)
    usable = [file for file in chosen["file"] if varies(load_stack(folder, [file], size=params.image_size))]
    kept = chosen[chosen["file"].isin(usable)]
    if kept.empty:
        raise UserError(f"{category}: all {len(chosen)} training images are of one colour: there is nothing to learn")
    if len(kept) < len(chosen):
        bare = chosen.loc[~chosen["file"].isin(usable), "image_id"]
        LOG.warning("%s: %d images of one colour are excluded: %s", category, len(bare), ", ".join(bare.head(10)))
    encoder = FrozenEncoder(params.name, stages=params.stages, section="sir.teacher").to(pick_device())
    single = [] if params.one_shot is None else drawing_order(category, len(kept), seed=seed)[: params.one_shot.images]
    write_all(path, encoder, kept, folder, params, single=single, seed=seed)
    return len(kept)


def choose(train: pd.DataFrame, *, limit: int | None, category: str, seed: int) -> pd.DataFrame:
    """Choose at most `limit` of the rows, in their order; the seed and the category's name decide which."""
    if limit is None or len(train) <= limit:
        return train
    LOG.info("%s: %d of %d training images are kept (sir.teacher.images)", category, limit, len(train))
    digest = hashlib.sha256(f"{seed} {category}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return train.iloc[sorted(torch.randperm(len(train), generator=generator)[:limit].tolist())]


def varies(image: UInt8[Tensor, "1 3 S S"]) -> bool:
    """Report whether any two pixels differ."""
    return bool((image != image[..., :1, :1]).any())


def write_all(
    path: Path,
    encoder: FrozenEncoder,
    kept: pd.DataFrame,
    folder: Path,
    params: TeacherParams,
    *,
    single: Sequence[int],
    seed: int,
) -> None:
    """Write every view of every image, and many more of a few, one image in memory at a time.

    Args:
        path: of the features.
        encoder: the teacher.
        kept: image_id and file of each image.
        folder: of the image files.
        params: of the teacher.
        single: rows of `kept` that one-shot trainings learn from.
        seed: of their views, together with the row.

    Raises:
        UserError: a feature is too large for half precision.
    """
    device, size = encoder.mean.device, params.image_size
    description = {
        "image_ids": kept["image_id"].to_list(), "files": kept["file"].to_list(), "views": list(params.views),
        "teacher": {"name": params.name, "stages": list(params.stages), "image_size": size}, "single": list(single),
    }  # fmt: skip
    sides = [size // 2 ** (stage + 1) for stage in params.stages]
    count = (len(kept), len(params.views))
    shapes = [(*count, channels, side, side) for channels, side in zip(encoder.channels, sides, strict=True)]
    many = 0 if params.one_shot is None else params.one_shot.views
    shapes_of_single = [(len(single), many, *shape[2:]) for shape in shapes]
    with writing_features(path, description, shapes, shapes_of_single) as (arrays, single_arrays):
        for row, file in enumerate(progress(kept["file"], total=len(kept), label="teacher features")):
            pixels = load_stack(folder, [file], size=size)
            image = to_float(pixels).to(device)
            write_row(arrays, row, encoder, torch.cat([CHANGES[view](image) for view in params.views]), file=file)
            if params.one_shot is not None and row in single:
                views = one_shot_views(pixels[0], params.one_shot, np.random.default_rng([seed, row]))
                write_row(single_arrays, single.index(row), encoder, to_float(views).to(device), file=file)


def write_row(
    arrays: Sequence[Any], row: int, encoder: FrozenEncoder, views: Float[Tensor, "V 3 S S"], *, file: str
) -> None:
    """Write the features of an image's views.

    Raises:
        UserError: a feature is too large for half precision.
    """
    for array, stage in zip(arrays, encoder(views), strict=True):
        if not float(stage.abs().max()) <= LARGEST_HALF:
            raise UserError(f"{file}: {encoder.name} returns features beyond half precision: take another teacher")
        array[row] = stage.to("cpu", torch.float16).numpy()
