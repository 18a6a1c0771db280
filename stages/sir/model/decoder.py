"""The trained part of SIR: a compact decoder that goes up and down again, loop by loop, and its losses."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features = Sequence[Float[Tensor, "B C h w"]]
Norm = Literal["group", "batch", "none"]
Entry = Literal["all", "coarsest"]


class RefinementDecoder(nn.Module):
    """Rebuild the teacher's features from a narrow code, K times, each time from what the loop before left.

        z_0 = E(F_1, ..., F_L),    (R^t, z_t) = D(z_(t-1)),    t = 1 ... K

    R^t are the reconstructions of all stages. Stages run from fine to coarse everywhere. What of this is known from the
    publication and what is assumed is described in docs/methods/sir.md.

    Attributes:
        arguments: rebuild the module; plain JSON values.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        widths: Sequence[int],
        blocks: int,
        entry: Entry,
        norm: Norm,
        groups: int,
        loops: int,
        share_weights: bool,
        detach_loops: bool,
    ) -> None:
        """Build an untrained decoder.

        Args:
            channels: of the teacher's stages.
            widths: channels of the decoder at each stage's resolution, and at halves of the coarsest as far as there
                are more; the last is the code's.
            blocks: residual blocks at each resolution.
            entry: which stages the code is made from.
            norm: "group", or "batch", which mixes the images of a batch, or "none".
            groups: number of groups of "group".
            loops: K, in training and after.
            share_weights: one set of weights for all loops.
            detach_loops: stop the gradient between loops.
        """
        super().__init__()
        self.arguments: dict[str, Any] = {
            "channels": list(channels), "widths": list(widths), "blocks": blocks, "entry": entry, "norm": norm,
            "groups": groups, "loops": loops, "share_weights": share_weights, "detach_loops": detach_loops,
        }  # fmt: skip
        self.loops, self.detach_loops = loops, detach_loops
        self.halvings = len(widths) - len(channels)
        self.entry = EntryBlock(channels, widths[-1], entry=entry, halvings=self.halvings, norm=norm, groups=groups)
        count = 1 if share_weights else loops
        self.passes = nn.ModuleList(
            UpDownPass(channels, widths, blocks=blocks, norm=norm, groups=groups) for _ in range(count)
        )

    def forward(self, features: Features) -> list[list[Float[Tensor, "B C h w"]]]:
        """Return the reconstructions of every loop, R[t][l]; the gradient never reaches the features.

        Args:
            features: of the teacher, each stage of half the size of the one before.
        """
        fixed = [stage.detach() for stage in features]
        code = self.entry(fixed)
        sizes = [tuple(stage.shape[-2:]) for stage in fixed]
        for _ in range(self.halvings):
            sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
        found = []
        for loop in range(self.loops):
            last = loop + 1 == self.loops
            reconstructions, code = self.passes[loop % len(self.passes)](code, sizes, last=last)
            found.append(reconstructions)
            code = code.detach() if self.detach_loops else code
        return found


class EntryBlock(nn.Module):
    """Fuse the teacher's stages into one code of the coarsest size, or of a half, a quarter ... of it.

    Each stage is halved by strided 3 x 3 convolutions until it fits; all are joined and mixed by a 1 x 1 convolution,
    as the bottleneck of Deng and Li, "Anomaly Detection via Reverse Distillation", CVPR 2022, begins. That bottleneck
    goes on to half the size of the coarsest stage: there the code cannot hold every cell's own features.
    """

    def __init__(
        self, channels: Sequence[int], width: int, *, entry: Entry, halvings: int, norm: Norm, groups: int
    ) -> None:
        """Build the block.

        Args:
            channels: of the teacher's stages.
            width: channels of the code.
            entry: which stages the code is made from.
            halvings: of the coarsest stage.
            norm: see `RefinementDecoder`.
            groups: see `RefinementDecoder`.
        """
        super().__init__()
        last = len(channels) - 1
        self.first = 0 if entry == "all" else last
        used = list(enumerate(channels))[self.first :]
        self.reduce = nn.ModuleList(
            nn.Sequential(
                *(
                    convolution(count if halving == 0 else width, width, stride=2, norm=norm, groups=groups)
                    for halving in range(last - stage + halvings)
                )
            )
            for stage, count in used
        )
        joined = sum(width if last - stage + halvings else count for stage, count in used)
        self.mix = nn.Conv2d(joined, width, 1)

    def forward(self, features: Features) -> Float[Tensor, "B W h w"]:
        """Return the code."""
        reduced = [reduce(stage) for reduce, stage in zip(self.reduce, features[self.first :], strict=True)]
        code: Tensor = self.mix(torch.cat(reduced, dim=1))
        return code


class UpDownPass(nn.Module):
    """One loop: up to the finest resolution with a reconstruction by 1 x 1 at each, and down again to the next code."""

    def __init__(self, channels: Sequence[int], widths: Sequence[int], *, blocks: int, norm: Norm, groups: int) -> None:
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, norm=norm, groups=groups) for _ in range(blocks))) for width in widths
        )
        self.rise = nn.ModuleList(convolution(low, high, stride=1, norm=norm, groups=groups) for high, low in pairs)
        self.sink = nn.ModuleList(convolution(high, low, stride=2, norm=norm, groups=groups) for high, low in pairs)
        self.heads = nn.ModuleList(nn.Conv2d(width, count, 1) for width, count in zip(widths, channels, strict=False))

    def forward(
        self, code: Float[Tensor, "B W h w"], sizes: Sequence[tuple[int, ...]], *, last: bool
    ) -> tuple[list[Float[Tensor, "B C h w"]], Float[Tensor, "B W h w"]]:
        """Return R_l and the next code; after the last loop it is not needed, and stays as it was.

        Args:
            code: of the coarsest size.
            sizes: height and width at each stage.
            last: whether this is the last loop.
        """
        ups = self.up(code, sizes)
        reconstructions = [head(one) for head, one in zip(self.heads, ups, strict=False)]  # not of halved sizes
        return reconstructions, code if last else self.down(ups)

    def up(self, code: Float[Tensor, "B W h w"], sizes: Sequence[tuple[int, ...]]) -> list[Float[Tensor, "B W h w"]]:
        """Compute the up path's maps, fine to coarse: bilinear to the next size, 3 x 3, residual blocks."""
        maps = [self.blocks[-1](code)]
        for stage in range(len(self.rise) - 1, -1, -1):
            larger = F.interpolate(maps[0], sizes[stage], mode="bilinear")
            maps.insert(0, self.blocks[stage](self.rise[stage](larger)))
        return maps

    def down(self, ups: Features) -> Float[Tensor, "B W h w"]:
        """Compute the next code: strided 3 x 3, plus the up path's map of that size."""
        code = ups[0]
        for sink, skip in zip(self.sink, ups[1:], strict=True):
            code = sink(code) + skip
        return code


class ResidualBlock(nn.Module):
    """ReLU(x + norm(conv(ReLU(norm(conv(x))))))."""

    def __init__(self, width: int, *, norm: Norm, groups: int) -> None:
        super().__init__()
        self.first = convolution(width, width, stride=1, norm=norm, groups=groups)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=norm == "none")
        self.norm = normalisation(width, norm=norm, groups=groups)

    def forward(self, values: Float[Tensor, "B W h w"]) -> Float[Tensor, "B W h w"]:
        return torch.relu(values + self.norm(self.second(self.first(values))))


def convolution(inputs: int, outputs: int, *, stride: int, norm: Norm, groups: int) -> nn.Sequential:
    """Build a 3 x 3 convolution, normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=norm == "none"),
        normalisation(outputs, norm=norm, groups=groups),
        nn.ReLU(inplace=True),
    )


def normalisation(width: int, *, norm: Norm, groups: int) -> nn.Module:
    """Build the layer of that name."""
    if norm == "group":
        return nn.GroupNorm(groups, width)
    return nn.BatchNorm2d(width) if norm == "batch" else nn.Identity()


def flat_cosine_distance(
    features: Float[Tensor, "B C h w"], reconstruction: Float[Tensor, "B C h w"]
) -> Float[Tensor, ""]:
    """Average over images 1 - cos of the whole feature map as one vector; in [0, 2].

    Deng and Li, "Anomaly Detection via Reverse Distillation", CVPR 2022; flattened as in that paper's code. A vector of
    zeros has the distance 1 to every other.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    check_same_shape(features, reconstruction)
    return (1.0 - F.cosine_similarity(features.flatten(1), reconstruction.flatten(1), dim=1)).mean()


def pixel_cosine_distance(
    features: Float[Tensor, "B C h w"], reconstruction: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B h w"]:
    """Compute 1 - cos of the two vectors at each cell; in [0, 2].

    Raises:
        ValueError: shapes differ.
    """
    check_same_shape(features, reconstruction)
    return 1.0 - F.cosine_similarity(features, reconstruction, dim=1)


def reconstruction_loss(
    features: Sequence[Float[Tensor, "B C h w"]],
    loops: Sequence[Sequence[Float[Tensor, "B C h w"]]],
    *,
    loop_weights: Sequence[float],
    stage_weights: Sequence[float],
) -> Float[Tensor, ""]:
    """Weigh the distances of all loops and stages; loops of weight 0 are not computed.

        sum_t w_t sum_l v_l (1 - cos(F_l, R_l^t))

    Args:
        features: F of each stage.
        loops: the reconstructions R[t][l].
        loop_weights: w.
        stage_weights: v.
    """
    terms = [
        weight * share * flat_cosine_distance(stage, rebuilt)
        for weight, reconstructions in zip(loop_weights, loops, strict=True)
        if weight
        for share, stage, rebuilt in zip(stage_weights, features, reconstructions, strict=True)
    ]
    return torch.stack(terms).sum()


def check_same_shape(first: Tensor, second: Tensor) -> None:
    """Raise ValueError where two tensors differ in shape."""
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {tuple(first.shape)} and {tuple(second.shape)}")
