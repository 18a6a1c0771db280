"""The teacher: frozen encoder features, projected to few channels and normalised on training images."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.run.errors import UserError

Features = Sequence[Float[Tensor, "B C h w"]]


class TeacherHead(nn.Module):
    """Merge two encoder stages into one map of `dim` channels.

    CSAD upsamples both stages, concatenates, averages 3x3 (zero padding counted) and projects with one random,
    never trained 1x1 convolution. Upsampling and averaging act on each channel alone, so the projection commutes with
    them: we project each stage at its own resolution (8x fewer multiplications), then upsample, add, average,
    and add the bias last. Equal to the original within 1e-6.
    """

    bias: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, channels: Sequence[int], *, dim: int, map_size: int) -> None:
        """Draw the random projection in PyTorch's default initialisation, bias included.

        Args:
            channels: of the stages at stride 8 and 16.
            dim: channels of the output.
            map_size: height and width of the output.
        """
        super().__init__()
        self.map_size = map_size
        together = nn.Conv2d(sum(channels), dim, 1)
        assert together.bias is not None
        self.projections = nn.ModuleList(nn.Conv2d(count, dim, 1) for count in channels)
        for projection, weight in zip(self.projections, together.weight.split(list(channels), dim=1), strict=True):
            projection.weight = nn.Parameter(weight.detach().clone())
            projection.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("bias", together.bias.detach().clone())
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.requires_grad_(False)

    def forward(self, stages: Features) -> Float[Tensor, "B D M M"]:
        """Return normalised teacher features of the stages at stride 8 and 16."""
        return (self.project(stages) - self.mean.view(1, -1, 1, 1)) / self.std.view(1, -1, 1, 1)

    def project(self, stages: Features) -> Float[Tensor, "B D M M"]:
        """Return teacher features before normalisation."""
        size = (self.map_size, self.map_size)
        merged = sum(
            F.interpolate(projection(stage), size, mode="bilinear")
            for projection, stage in zip(self.projections, stages, strict=True)
        )
        assert isinstance(merged, Tensor)
        return F.avg_pool2d(merged, 3, stride=1, padding=1) + self.bias.view(1, -1, 1, 1)


def make_orthonormal(head: TeacherHead, mean: Sequence[Tensor], std: Sequence[Tensor]) -> None:
    """Replace the random projection by orthonormal rows over standardised stage channels, in place.

    Not in the publications. EfficientNet's channels differ in scale by orders of magnitude, and a plain projection
    would see the largest only. The draw comes from torch's global generator.

    Args:
        mean, std: per channel and stage over the training images.

    Raises:
        UserError: more output channels than input channels.
    """
    channels = [len(values) for values in mean]
    dim = len(head.bias)
    if dim > sum(channels):
        raise UserError(
            f"{dim} orthonormal rows do not fit into the encoder's {sum(channels)} channels: lower "
            "student_teacher.teacher.dim, or set its projection to random"
        )
    rows = nn.init.orthogonal_(torch.empty(dim, sum(channels))).split(channels, dim=1)
    for projection, weight, centre, scale in zip(head.projections, rows, mean, std, strict=True):
        scaled = weight / scale
        projection.weight = nn.Parameter(scaled[:, :, None, None], requires_grad=False)
        projection.bias = nn.Parameter(-(scaled @ centre), requires_grad=False)
    head.bias.zero_()


def weigh_stages(head: TeacherHead, weights: Sequence[float]) -> None:
    """Multiply what each stage adds to the projection by its weight, in place; 1 each in the publications.

    Small defects show in the finer stage, which has fewer channels and would otherwise count less.
    """
    for projection, weight in zip(head.projections, weights, strict=True):
        for parameter in projection.parameters():
            parameter.mul_(weight)


def fit_normalisation(head: TeacherHead, batches: Iterable[Float[Tensor, "B D M M"]]) -> None:
    """Set the head's mean and std from un-normalised outputs over the training images, in place.

        mean = mean over batches of the batch means,  std = sqrt(mean over batches of mean((x - mean)²))

    As in CSAD a short last batch weighs as much as a full one.

    Args:
        batches: iterated twice.

    Raises:
        UserError: a channel has zero variance.
    """
    mean = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in batches]).mean(dim=0)
    squares = [((batch - mean.view(1, -1, 1, 1)) ** 2).mean(dim=(0, 2, 3)) for batch in batches]
    std = torch.stack(squares).mean(dim=0).sqrt()
    if not bool((std > 0).all()):
        dead = int((std <= 0).nonzero()[0])
        raise UserError(f"teacher channel {dead} is constant over all training images: are they all the same picture?")
    head.mean.copy_(mean)
    head.std.copy_(std)
