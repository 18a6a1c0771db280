"""Train students, and the teacher where it is distilled, on one product's normal images."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder, load_stack
from stages.core.run.errors import UserError
from stages.uninformed_students.augmentation import Augmentation, size_of
from stages.uninformed_students.params import DistilledTeacherParams, UninformedStudentsParams
from stages.uninformed_students.patch_network import Backbone, PatchNetwork
from stages.uninformed_students.scoring import Ensemble, FittedEnsemble, map_image
from stages.uninformed_students.stage_ensemble import fit_stages, map_features, map_stages
from stages.uninformed_students.students import train_students
from stages.uninformed_students.teacher import fit_backbone, normalise_teacher, train_teacher
from stages.uninformed_students.training import FinishedNetworks, name_of

LOG = logging.getLogger(__name__)


def fit_ensembles(
    images: pd.DataFrame, folder: Path, params: UninformedStudentsParams, *, seed: int, finished: FinishedNetworks
) -> list[FittedEnsemble]:
    """Train on the images of split "train"; the rest is not opened.

    Each patch size starts from the seed again, so that it does not depend on which others there are.

    Returns:
        One a patch size; one where the backbone is the teacher.

    Raises:
        UserError: the backbone's weights are missing, or there are no training images or all are of one colour.
    """
    files = images.loc[images["split"] == "train", "file"].to_list()
    if not files:
        raise UserError("the image table has no training image: the students need normal images to learn from")
    if params.students.count == 1:
        LOG.warning("a single student agrees with itself: the variance map is 0 everywhere")
    device = pick_device(threads=params.cpu_threads)
    encoder = FrozenEncoder(
        params.backbone.name, stages=params.backbone.stages, section="uninformed_students.backbone"
    ).to(device)
    stack = load_stack(folder, files, size=size_of(params.inference))
    refuse_one_colour(stack)
    if isinstance(params.teacher, DistilledTeacherParams):
        return [
            fit_patches(encoder, stack, params, params.teacher, patch_size, finished, seed=seed)
            for patch_size in params.teacher.patch_sizes
        ]
    return [fit_backbone_students(encoder, stack, params, finished, seed=seed)]


def fit_backbone_students(
    encoder: FrozenEncoder,
    stack: UInt8[Tensor, "N 3 S S"],
    params: UninformedStudentsParams,
    finished: FinishedNetworks,
    *,
    seed: int,
) -> FittedEnsemble:
    """Normalise the backbone's stages, and train students on them."""
    seed_everything(seed)
    ensemble = fit_stages(
        encoder, stack, params.students,
        width=params.width, inference=params.inference, finished=finished, seed=seed,
    )  # fmt: skip
    parts = {"teacher": ensemble.teacher.scales(), **states_of(ensemble.students)}
    maps, by_features = (partial(one, ensemble, stride=params.stride) for one in (map_stages, map_features))
    teacher, networks = ensemble.teacher, tuple(ensemble.students)
    return FittedEnsemble(teacher.dims, maps, named("backbone", parts), teacher, networks, by_features)


def fit_patches(
    encoder: FrozenEncoder,
    stack: UInt8[Tensor, "N 3 S S"],
    params: UninformedStudentsParams,
    distilled: DistilledTeacherParams,
    patch_size: int,
    finished: FinishedNetworks,
    *,
    seed: int,
) -> FittedEnsemble:
    """Distil the teacher of a patch size, normalise it, and train students of its layout."""
    seed_everything(seed)
    device, stride, tile = encoder.mean.device, params.stride, distilled.tile
    backbone = Backbone(encoder).to(device)
    teacher = make_network(patch_size, backbone.dim, params.width, device)
    students = [make_network(patch_size, backbone.dim, params.width, device) for _ in range(params.students.count)]
    augment = Augmentation(distilled.augmentation, patch_size=patch_size)
    fit_backbone(backbone, stack, augment, standardise=distilled.standardise, seed=seed)
    train_teacher(teacher, backbone, stack, distilled, finished=finished, seed=seed)
    teacher.eval().requires_grad_(False)
    inference = Augmentation(params.inference, patch_size=patch_size)
    normalise_teacher(teacher, stack, inference, stride=stride, tile=tile)
    train_students(students, teacher, stack, params.students, stride=stride, tile=tile, finished=finished, seed=seed)
    ensemble = Ensemble(teacher, [one.eval().requires_grad_(False) for one in students])
    parts = {"teacher": teacher.state_dict(), **states_of(ensemble.students)}
    maps = partial(map_image, ensemble, inference=inference, stride=stride, tile=tile)
    name = str(patch_size)
    networks = (teacher, *ensemble.students)
    return FittedEnsemble(
        {name: backbone.dim}, lambda image: {name: maps(image)}, named(f"p{name}", parts), teacher, networks, None
    )


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


def states_of(students: Sequence[nn.Module]) -> dict[str, Mapping[str, Tensor]]:
    """Collect the students' weights by their names."""
    return {name_of(number): student.state_dict() for number, student in enumerate(students)}


def named(ensemble: str, parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Name each weight: "p33.teacher.decode.weight", "backbone.student_1.heads.0.weight"."""
    return {f"{ensemble}.{name}.{key}": value for name, part in parts.items() for key, value in part.items()}


def joined_state(ensembles: Sequence[FittedEnsemble]) -> dict[str, Tensor]:
    """Collect all weights of all ensembles."""
    return {key: value for ensemble in ensembles for key, value in ensemble.state.items()}
