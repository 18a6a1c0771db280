"""Train a teacher and its students for every patch size on one product's normal images."""

import logging
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import UInt8
from torch import Tensor

from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder, load_stack
from stages.core.run.errors import UserError
from stages.uninformed_students.augmentation import Augmentation, size_of
from stages.uninformed_students.params import UninformedStudentsParams
from stages.uninformed_students.patch_network import Backbone, PatchNetwork
from stages.uninformed_students.scoring import Ensemble
from stages.uninformed_students.students import name_of, train_students
from stages.uninformed_students.teacher import fit_backbone, normalise_teacher, train_teacher
from stages.uninformed_students.training import FinishedNetworks

LOG = logging.getLogger(__name__)


def fit_ensembles(
    images: pd.DataFrame, folder: Path, params: UninformedStudentsParams, *, seed: int, finished: FinishedNetworks
) -> dict[int, Ensemble]:
    """Train on the images of split "train"; the rest is not opened.

    Each patch size starts from the seed again, so that it does not depend on which others there are.

    Returns:
        By patch size.

    Raises:
        UserError: the backbone's weights are missing, or there are no training images or all are of one colour.
    """
    files = images.loc[images["split"] == "train", "file"].to_list()
    if not files:
        raise UserError("the image table has no training image: the students need normal images to learn from")
    if params.students.count == 1:
        LOG.warning("a single student agrees with itself: the variance map is 0 everywhere")
    device = pick_device()
    encoder = FrozenEncoder(params.backbone.name, stages=params.backbone.stages).to(device)
    stack = load_stack(folder, files, size=size_of(params.inference))
    refuse_one_colour(stack)
    ensembles: dict[int, Ensemble] = {}
    for patch_size in params.patch_sizes:
        seed_everything(seed)
        backbone = Backbone(encoder).to(device)
        teacher = make_network(patch_size, backbone.dim, params.width, device)
        students = [make_network(patch_size, backbone.dim, params.width, device) for _ in range(params.students.count)]
        augment = Augmentation(params.teacher.augmentation, patch_size=patch_size)
        fit_backbone(backbone, stack, augment, standardise=params.backbone.standardise, seed=seed)
        train_teacher(teacher, backbone, stack, params.teacher, finished=finished, seed=seed)
        teacher.eval().requires_grad_(False)
        inference = Augmentation(params.inference, patch_size=patch_size)
        normalise_teacher(teacher, stack, inference, stride=params.stride, tile=params.tile)
        train_students(
            students, teacher, stack, params.students,
            stride=params.stride, tile=params.tile, finished=finished, seed=seed,
        )  # fmt: skip
        ensembles[patch_size] = Ensemble(teacher, [one.eval().requires_grad_(False) for one in students])
    return ensembles


def refuse_one_colour(images: UInt8[Tensor, "N 3 S S"]) -> None:
    """Raise a UserError unless there is an image with two different pixels.

    It looks at pixels, as patches of one colour differ once a rotation has given them black corners.
    """
    if not any(bool((image != image[:, :1, :1]).any()) for image in images):
        raise UserError(
            f"all {len(images)} training images are of one colour: there is nothing to learn from; look at the files"
        )


def make_network(patch_size: int, dim: int, width: float, device: torch.device) -> PatchNetwork:
    """Build an untrained network, drawn from torch's global generator."""
    network = PatchNetwork(patch_size, dim=dim, width=width).to(device)
    return network.to(memory_format=torch.channels_last)


def state_of(ensembles: dict[int, Ensemble]) -> dict[str, torch.Tensor]:
    """Collect all weights by name: "p33.teacher.decode.weight", "p33.student_1.decode.weight"."""
    state: dict[str, torch.Tensor] = {}
    for patch_size, ensemble in ensembles.items():
        students = {name_of(number): student for number, student in enumerate(ensemble.students)}
        for name, part in {"teacher": ensemble.teacher, **students}.items():
            state |= {f"p{patch_size}.{name}.{key}": value for key, value in part.state_dict().items()}
    return state
