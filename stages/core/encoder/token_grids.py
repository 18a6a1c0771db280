"""A vision transformer as a feature extractor: the tokens of some blocks, as maps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from sys import modules
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from timm.models import FeatureInfo
from torch import Tensor, nn

RESAMPLE = "resample_abs_pos_embed"  # timm's name of the function, in each module that calls it


class TokenGrids(nn.Module):
    """Tokens of some blocks in the image's order, each after the network's last normalisation.

    Class and register tokens are dropped. The last normalisation is what DINOv2 and DINOv3 publish of intermediate
    blocks, too: without it a few channels are so large that distances see little else.

    An image whose sides are no multiples of the patch's is enlarged to the next ones, bilinearly: padding would make an
    edge that no training image has. Position embeddings are resampled by timm (`dynamic_img_size`).
    """

    def __init__(self, model: Any, blocks: Sequence[int]) -> None:
        """Keep the network without what follows the last of its blocks that is asked for.

        Args:
            model: of timm's, with `forward_intermediates`, which takes images of any size.
            blocks: numbers, increasing.
        """
        super().__init__()
        self.feature_info = FeatureInfo(model.feature_info, tuple(blocks))
        self.patch: tuple[int, int] = tuple(model.patch_embed.patch_size)
        self.blocks: list[int] = model.prune_intermediate_layers(list(blocks), prune_norm=False)
        self.model = model
        self.fixed = False

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Return a map for each block."""
        given = [int(side) for side in images.shape[-2:]]  # numbers, also while a graph is traced
        size = self.whole_patches(given)
        if list(size) != given:
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        with as_they_are(self.model) if self.fixed else nullcontext():
            maps: list[Tensor] = self.model.forward_intermediates(
                images, indices=self.blocks, norm=True, output_fmt="NCHW", intermediates_only=True
            )
        return maps

    def whole_patches(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the next (height, width) that are multiples of the patch's."""
        (height, width), (down, across) = size, self.patch
        return -(-height // down) * down, -(-width // across) * across

    def at_size(self, size: tuple[int, int]) -> "TokenGrids":
        """Return a copy with position embeddings for images of (height, width), whose graph need not resample them.

        Of embeddings that fit already timm leaves square ones alone and resamples others all the same, to what they
        are, by an operation that cannot be exported.
        """
        fixed = deepcopy(self)
        fixed.model.set_input_size(img_size=self.whole_patches(size))
        fixed.fixed = True
        return fixed


@contextmanager
def as_they_are(model: nn.Module) -> Iterator[None]:
    """Leave position embeddings as they are, whatever size a network of timm's asks for."""
    homes = {modules[kind.__module__] for kind in type(model).__mro__}
    before = {home: getattr(home, RESAMPLE) for home in homes if hasattr(home, RESAMPLE)}
    try:
        for home in before:
            setattr(home, RESAMPLE, lambda embeddings, *_sizes, **_options: embeddings)
        yield
    finally:
        for home, function in before.items():
            setattr(home, RESAMPLE, function)
