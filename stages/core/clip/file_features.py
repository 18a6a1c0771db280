"""Features of image files, each read and prepared once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from stages.core.clip.build import load_encoder
from stages.core.clip.encoder import ClipEncoder, ImageFeatures
from stages.core.clip.feature_cache import CachedFeatures, key_of
from stages.core.clip.params import ClipParams
from stages.core.device import pick_device
from stages.core.image_files.reading import read_image
from stages.core.image_files.windows import Window

Prepare = Callable[[UInt8[ndarray, "H W 3"], int], Float[Tensor, "3 S S"]]


class FileFeatures:
    """Features of files through the disk cache.

    Attributes:
        encoder: the frozen CLIP behind it.
        sizes: (height, width) in pixels of every file whose features were asked for.
    """

    def __init__(self, params: ClipParams, *, blocks: Sequence[int], prepare: Prepare) -> None:
        """Load the encoder onto the first GPU, or the CPU.

        Args:
            blocks: of the vision transformer whose tokens are wanted, counted from 1.
            prepare: from an 8-bit image and the network's size to the network's input.

        Raises:
            UserError: see `load_encoder` and `check_blocks`.
        """
        self.encoder: ClipEncoder = load_encoder(params).to(pick_device())
        self.encoder.check_blocks(blocks)
        self.cached = CachedFeatures(self.encoder, blocks=blocks, gigabytes=params.cache_gigabytes)
        self.prepare = prepare
        self.keys: dict[tuple[Path, Window | None], str] = {}
        self.sizes: dict[Path, tuple[int, int]] = {}

    def __call__(self, path: Path, window: Window | None) -> ImageFeatures:
        """Features on the CPU, tokens in float16.

        Raises:
            UserError: the file cannot be read.
        """

        def prepared() -> Tensor:
            image = read_image(path, window)
            self.sizes[path] = (image.shape[0], image.shape[1])
            return self.prepare(image, self.encoder.image_size)

        if (path, window) not in self.keys:
            image = prepared()
            self.keys[path, window] = key_of(image)
            return self.cached.recall(self.keys[path, window], lambda: image)
        return self.cached.recall(self.keys[path, window], prepared)


def stack_features(features: Sequence[ImageFeatures], device: torch.device) -> ImageFeatures:
    """Features of several images as one batch in float32 on a device."""
    tokens = torch.stack([one.tokens for one in features]).to(device, torch.float32)
    return ImageFeatures(tokens, torch.stack([one.embedding for one in features]).to(device))
