"""Image features on disk: files are read and prepared once, and no image goes through a frozen encoder twice."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from stages.clip.model.encoder import ClipEncoder, ImageFeatures
from stages.clip.model.params import ClipParams
from stages.clip.model.weights import load_encoder
from stages.core.encoder.cache import TensorCache, key_of
from stages.core.encoder.device import pick_device
from stages.core.runtime.reading import Window, read_image

FOLDER = Path("work/clip_features")  # git-ignored, no output of a stage: it may be deleted at any time
Prepare = Callable[[UInt8[ndarray, "H W 3"], int], Float[Tensor, "3 S S"]]


class CachedFeatures:
    """Features of single images, from disk where they were computed before.

    Tokens are kept and returned in float16, whether they come from disk or not, so that the cache changes no result.
    The images go through the encoder one by one for the same reason. Several processes may share a folder.
    """

    def __init__(self, encoder: ClipEncoder, *, blocks: Sequence[int], gigabytes: float, folder: Path = FOLDER) -> None:
        """Open the part of the folder that belongs to this encoder and these blocks.

        Args:
            encoder: a frozen CLIP.
            blocks: whose tokens are kept, counted from 1.
            gigabytes: that all of `folder` may take, other encoders included; the least recently used files go first.
            folder: of all features.
        """
        self.encoder = encoder
        self.blocks = tuple(blocks)
        self.cache = TensorCache(folder, f"{encoder.fingerprint()} {self.blocks}", gigabytes=gigabytes)
        self.computed = 0

    def of_image(self, image: Float[Tensor, "3 S S"]) -> ImageFeatures:
        """Return the features of one prepared image, on the CPU; tokens in float16, the embedding in float32."""
        return self.recall(key_of(image), lambda: image)

    def recall(self, key: str, prepare: Callable[[], Float[Tensor, "3 S S"]]) -> ImageFeatures:
        """Return the features of the image of a key from `key_of`; it is only prepared where they are missing."""
        stored = self.cache.get(key)
        if stored is not None:
            return ImageFeatures(stored["tokens"], stored["embedding"])
        features = self.compute(prepare())
        self.cache.put(key, {"tokens": features.tokens, "embedding": features.embedding})
        return features

    def compute(self, image: Float[Tensor, "3 S S"]) -> ImageFeatures:
        """Run the encoder.

        Raises:
            ValueError: a token does not fit into float16.
        """
        self.computed += 1
        features = self.encoder.image_features(image[None].to(self.encoder.device), blocks=self.blocks)
        tokens = features.tokens[0].to(torch.float16).cpu()
        if not tokens.isfinite().all():
            raise ValueError("a token of the image is not finite as float16: the weights or the image are damaged")
        return ImageFeatures(tokens, features.embedding[0].float().cpu())


class FileFeatures:
    """Features of files through the disk cache.

    Attributes:
        encoder: the frozen CLIP behind it.
        sizes: (height, width) in pixels of every file whose features were asked for.
    """

    def __init__(self, params: ClipParams, *, blocks: Sequence[int], prepare: Prepare) -> None:
        """Load the encoder onto the first GPU, or the CPU.

        Args:
            params: the section `clip`.
            blocks: of the vision transformer whose tokens are wanted, counted from 1.
            prepare: from an 8-bit image and the network's size to the network's input.

        Raises:
            UserError: see `load_encoder` and `check_blocks`.
        """
        self.encoder: ClipEncoder = load_encoder(params).to(pick_device(threads=None))
        self.encoder.check_blocks(blocks)
        self.cached = CachedFeatures(self.encoder, blocks=blocks, gigabytes=params.cache_gigabytes)
        self.prepare = prepare
        self.keys: dict[tuple[Path, Window | None], str] = {}
        self.sizes: dict[Path, tuple[int, int]] = {}

    def __call__(self, path: Path, window: Window | None) -> ImageFeatures:
        """Return features on the CPU, tokens in float16.

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
    """Stack the features of several images to one batch in float32 on a device."""
    tokens = torch.stack([one.tokens for one in features]).to(device, torch.float32)
    return ImageFeatures(tokens, torch.stack([one.embedding for one in features]).to(device))
