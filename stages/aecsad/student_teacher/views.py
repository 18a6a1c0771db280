"""What the networks get to see in one iteration."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float16, Int64, UInt8
from torch import Tensor

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import to_float
from stages.core.student_teacher import StudentTeacher


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
        """Args:
        targets: normalised teacher outputs of `images`.
        stems: encoder features of `images` at stride 4, for a local student that reads them.
        """
        self.module = module
        self.encoder = encoder
        self.images = images
        self.targets = targets
        self.stems = stems

    def training(self, rows: Int64[Tensor, " B"]) -> View:
        """Training images as they are."""
        device = self.encoder.mean.device
        inputs = self.normalise(to_float(self.images[rows].to(device)))
        local = inputs if self.stems is None else self.stems[rows].to(device).float()
        return View(inputs, local, self.targets[rows].to(device).float())

    @torch.no_grad()
    def other(self, images: UInt8[Tensor, "B 3 S S"]) -> View:
        """Images that the encoder has not seen yet."""
        pixels = to_float(images.to(self.encoder.mean.device))
        stem, *stages = self.encoder(pixels)
        inputs = self.normalise(pixels)
        return View(inputs, inputs if self.stems is None else stem, self.module.teacher(stages))

    @torch.no_grad()
    def local_inputs(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B C h w"]:
        """What the local student reads of images that the encoder has not seen yet."""
        pixels = to_float(images.to(self.encoder.mean.device))
        return self.normalise(pixels) if self.stems is None else self.encoder(pixels)[0]

    def normalise(self, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
        """Images in [0, 1] as the networks take them."""
        inputs = (pixels - self.encoder.mean) / self.encoder.std
        return inputs.contiguous(memory_format=torch.channels_last)
