"""What the students learn from: the teacher's outputs, computed once, views of images, and natural images.

On natural images, the local student is penalised for any output, so that it imitates the teacher on the product alone.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Float16, Int64, UInt8
from torch import Tensor

from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.model.teacher import TeacherHead, fit_normalisation, make_orthonormal, weigh_stages
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.reading import IMAGE_SUFFIXES, read_image, resize_image

BATCH = 8  # of the un-augmented passes; fixed, because the normalisation averages over batches
LOG = logging.getLogger(__name__)
ENLARGED = 2  # the crop is taken from the image resized to that many times the crop's size, as in CSAD
GREY_SHARE = 0.3
LUMA = (0.299, 0.587, 0.114)  # of R, G and B


@dataclass(frozen=True)
class View:
    """Some images for all networks.

    Attributes:
        inputs: normalised like the encoder's input.
        local_inputs: what the local student reads: `inputs`, or the encoder's features at stride 4.
        teacher: normalised teacher features.
    """

    inputs: Float[Tensor, "B 3 S S"]
    local_inputs: Float[Tensor, "B C h w"]
    teacher: Float[Tensor, "B D M M"]


class Views:
    """The training images, whose features are cached, and any other images, whose features are not."""

    def __init__(
        self,
        module: StudentTeacher,
        encoder: FrozenEncoder,
        images: UInt8[Tensor, "N 3 S S"],
        targets: Float16[Tensor, "N D M M"],
        stems: Float16[Tensor, "N C h w"] | None,
    ) -> None:
        """Keep the training images and what is cached of them.

        Args:
            targets: normalised teacher outputs of `images`.
            stems: encoder features of `images` at stride 4, for a local student that reads them.
        """
        self.module = module
        self.encoder = encoder
        self.images = images
        self.targets = targets
        self.stems = stems

    def training(self, rows: Int64[Tensor, " B"]) -> View:
        """Return the view of training images as they are."""
        device = self.encoder.mean.device
        inputs = self.encoder.normalise(to_float(self.images[rows].to(device)))
        local = inputs if self.stems is None else self.stems[rows].to(device).float()
        return View(inputs, local, self.targets[rows].to(device).float())

    @torch.no_grad()
    def other(self, images: UInt8[Tensor, "B 3 S S"]) -> View:
        """Return the view of images that the encoder has not seen yet."""
        pixels = to_float(images.to(self.encoder.mean.device))
        stem, *stages = self.encoder(pixels)
        inputs = self.encoder.normalise(pixels)
        return View(inputs, inputs if self.stems is None else stem, self.module.teacher(stages))

    @torch.no_grad()
    def local_inputs(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B C h w"]:
        """Return what the local student reads of images that the encoder has not seen yet."""
        pixels = to_float(images.to(self.encoder.mean.device))
        return self.encoder.normalise(pixels) if self.stems is None else self.encoder(pixels)[0]


def fit_teacher(
    head: TeacherHead,
    encoder: FrozenEncoder,
    images: UInt8[Tensor, "N 3 S S"],
    *,
    projection: str,
    stage_weights: Sequence[float],
    keep_stems: bool,
) -> tuple[Float16[Tensor, "N D M M"], Float16[Tensor, "N C h w"] | None]:
    """Fit the head in place on normal training images and return its outputs for them.

    The encoder runs once over the images; the stages are kept in float16 until the head is fitted.

    Args:
        projection: "random" as published or "orthonormal" over standardised channels.
        stage_weights: of the stages at stride 8 and 16.
        keep_stems: also return the encoder's features at stride 4; else None.

    Raises:
        UserError: a teacher channel has zero variance.
    """
    device = encoder.mean.device
    batches = range(0, len(images), BATCH)
    stages: list[list[Tensor]] = []
    stems: list[Tensor] = []
    for start in progress(batches, total=len(batches), label="teacher features"):
        stem, *rest = (stage.half() for stage in encoder.recall(to_float(images[start : start + BATCH].to(device))))
        stages.append(rest)
        if keep_stems:
            stems.append(stem)
    if projection == "orthonormal":
        mean, std = zip(*(channel_statistics([batch[level] for batch in stages]) for level in (0, 1)), strict=True)
        make_orthonormal(head, mean, std)
    weigh_stages(head, stage_weights)
    fit_normalisation(head, _Projected(head, stages))
    targets = torch.cat([head([stage.float() for stage in batch]).half() for batch in stages])
    layout = torch.channels_last  # that of the students' outputs and of convolutions, once for all iterations
    return targets.contiguous(memory_format=layout), (
        torch.cat(stems).contiguous(memory_format=layout) if keep_stems else None
    )


def channel_statistics(batches: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel over all images and cells; 1 for a dead channel's deviation."""
    values = torch.cat([batch.float().transpose(0, 1).flatten(1) for batch in batches], dim=1)
    std, mean = torch.std_mean(values, dim=1)
    return mean, torch.where(std > 0, std, torch.ones_like(std))


class _Projected:
    """Un-normalised teacher outputs, batch by batch, as often as asked for."""

    def __init__(self, head: TeacherHead, stages: list[list[Tensor]]) -> None:
        self.head = head
        self.stages = stages

    def __iter__(self) -> Iterator[Tensor]:
        return (self.head.project([stage.float() for stage in batch]) for batch in self.stages)


def find_penalty_images(folder: str | None) -> list[Path]:
    """Find the images in a folder and below, sorted; none, which is logged, where no folder is given.

    Raises:
        UserError: the folder is missing or holds no image.
    """
    if folder is None:
        LOG.info("training.penalty_images is null: the local student is not penalised on natural images")
        return []
    if not Path(folder).is_dir():
        raise UserError(f"{folder} (student_teacher.training.penalty_images) is not a folder: correct it or write null")
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UserError(f"{folder} (student_teacher.training.penalty_images) holds no image: fill it or write null")
    LOG.info("%d natural images in %s for the penalty", len(found), folder)
    return found


def load_penalty_image(path: Path, *, size: int, grey: bool) -> UInt8[Tensor, "1 3 S S"]:
    """Load the middle of an image resized to twice `size` x `size`, in colour or grey."""
    enlarged = torch.from_numpy(resize_image(read_image(path), ENLARGED * size)).permute(2, 0, 1)
    start = (ENLARGED - 1) * size // 2
    crop = enlarged[None, :, start : start + size, start : start + size].contiguous()
    if not grey:
        return crop
    luma = (crop.float() * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return luma.round().to(torch.uint8).expand(-1, 3, -1, -1)


def total_bytes(paths: Sequence[Path]) -> int:
    """Add up the bytes of all files, by which a checkpoint notices that the folder has changed."""
    return sum(path.stat().st_size for path in paths)
