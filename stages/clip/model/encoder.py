"""A frozen CLIP: its input from 8-bit images, tokens of images after chosen blocks, and features of texts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from stages.core.run.errors import UserError


def sequence_first(clip: CLIP) -> None:
    """Let the text transformer work on [C, N, D] inside, in place: the same numbers, faster in bfloat16 on a CPU.

    With the batch first, PyTorch's attention sees transposed tokens and copies its weights once for each of them.
    """
    clip.transformer.batch_first = False
    for block in clip.transformer.resblocks:
        block.attn.batch_first = False


@dataclass(frozen=True)
class ImageFeatures:
    """Output of a vision transformer.

    Attributes:
        tokens: raw outputs of the chosen blocks, the class token first; not normalised, not projected.
        embedding: the image embedding, not normalised.
    """

    tokens: Float[Tensor, "*B L T W"]
    embedding: Float[Tensor, "*B E"]


class ClipEncoder(nn.Module):
    """A CLIP that is never trained; gradients pass through its text transformer to what is fed into it."""

    def __init__(self, clip: CLIP) -> None:
        """Freeze a CLIP."""
        super().__init__()
        self.clip = clip.eval().requires_grad_(False)
        sequence_first(clip)
        self.tokenizer = SimpleTokenizer(context_length=clip.context_length)
        self.ensembles: dict[tuple[str, ...], Tensor] = {}

    def train(self, mode: bool = True) -> "ClipEncoder":
        """Stay in eval mode whatever the surrounding module does."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        return torch.device(self.clip.positional_embedding.device)

    def check_blocks(self, blocks: Sequence[int]) -> None:
        """Check the numbers of blocks.

        Raises:
            UserError: the vision transformer does not have one, or they are not increasing.
        """
        count, last = len(self.clip.visual.transformer.resblocks), 0
        for block in blocks:
            if not last < block <= count:
                raise UserError(
                    f"profile: blocks: {list(blocks)} must be increasing numbers from 1 to {count}, the blocks of "
                    "clip.architecture: correct them"
                )
            last = block

    @property
    def grid(self) -> int:
        """Number of patches on a side of the image."""
        return int(self.clip.visual.grid_size[0])

    @property
    def image_size(self) -> int:
        return int(self.clip.visual.image_size[0])

    @property
    def vision_width(self) -> int:
        """Number of channels of the tokens."""
        return int(self.clip.visual.class_embedding.shape[0])

    @property
    def text_width(self) -> int:
        return int(self.clip.token_embedding.weight.shape[1])

    @property
    def embed_dim(self) -> int:
        """Number of dimensions that images and texts share."""
        return int(self.clip.text_projection.shape[1])

    def fingerprint(self) -> str:
        """Return the sha256 of all that decides the image features: weights, shapes, activation and device."""
        digest = hashlib.sha256(f"{torch.__version__} {self.device.type} {self.clip.visual}".encode())
        for name, value in self.clip.visual.state_dict().items():
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def image_features(self, images: Float[Tensor, "B 3 S S"], *, blocks: Sequence[int]) -> ImageFeatures:
        """Compute the tokens after some blocks, and the image embedding.

        Args:
            images: as the method prepares them, normalised or not.
            blocks: counted from 1 as in the publications.

        Raises:
            UserError: see `check_blocks`.
            ValueError: the images have another size than the network.
        """
        self.check_blocks(blocks)
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"images of {tuple(images.shape[-2:])} pixels for a network of {self.image_size}")
        found = self.clip.visual.forward_intermediates(
            images, indices=[block - 1 for block in blocks], output_fmt="NLC", output_extra_tokens=True
        )
        pairs = zip(found["image_intermediates_prefix"], found["image_intermediates"], strict=True)
        tokens = torch.stack([torch.cat(pair, dim=1) for pair in pairs], dim=1)
        return ImageFeatures(tokens, found["image_features"])

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text without start and end.

        Raises:
            UserError: the text has no token, or more than fit.
        """
        ids: list[int] = self.tokenizer.encode(text)
        longest = self.clip.context_length - 2
        if not ids:
            raise UserError(f"the text {text!r} has no token: name the object in words of letters or digits")
        if len(ids) > longest:
            raise UserError(f"the text {text!r} has {len(ids)} tokens, {longest} fit: give the object a shorter name")
        return ids

    def tokenize(self, texts: Sequence[str]) -> Int64[Tensor, "N C"]:
        """Return ids with start, end and padding.

        Raises:
            UserError: see `encode`.
        """
        for text in texts:
            self.encode(text)
        ids: Tensor = self.tokenizer(list(texts))
        return ids.to(self.device)

    def token_embeddings(self, ids: Int64[Tensor, "N C"]) -> Float[Tensor, "N C D"]:
        """Embed the tokens, without positions."""
        embeddings: Tensor = self.clip.token_embedding(ids)
        return embeddings

    def encode_embeddings(
        self, embeddings: Float[Tensor, "N C D"], ends: Int64[Tensor, " N"], *, causal: bool
    ) -> Float[Tensor, "N E"]:
        """Compute text features, not normalised, of token embeddings.

        Args:
            embeddings: without positions.
            ends: position of the end token, at which the feature is read.
            causal: whether a token sees only those before it, as in CLIP's training.
        """
        clip = self.clip
        hidden = embeddings + clip.positional_embedding
        hidden = clip.transformer(hidden, attn_mask=clip.attn_mask if causal else None)
        rows = torch.arange(len(hidden), device=hidden.device)
        features: Tensor = clip.ln_final(hidden[rows, ends]) @ clip.text_projection
        return features

    @torch.no_grad()
    def ensemble(self, texts: Sequence[str]) -> Float[Tensor, " E"]:
        """Return the unit mean of the unit features of several texts; the same texts are encoded once.

        Raises:
            UserError: see `encode`.
        """
        key = tuple(texts)
        if key not in self.ensembles:
            batches = [
                self.encode_embeddings(self.token_embeddings(ids), ids.argmax(dim=-1), causal=True)
                for ids in self.tokenize(texts).split(64)
            ]
            self.ensembles[key] = F.normalize(F.normalize(torch.cat(batches), dim=-1).mean(dim=0), dim=-1)
        return self.ensembles[key]


def crop_and_normalise(image: UInt8[ndarray, "H W 3"], size: int) -> Float[Tensor, "3 S S"]:
    """Prepare an image as CLIP does: shorter side to `size` (bicubic), central square, CLIP's mean and deviation."""
    picture = center_crop(resize(Image.fromarray(image), [size], InterpolationMode.BICUBIC), [size, size])
    return normalise(unit_range(picture))


def squash(image: UInt8[ndarray, "H W 3"], size: int) -> Float[Tensor, "3 S S"]:
    """Resize the whole image to a square, bicubic, in [0, 1] and without CLIP's mean and deviation."""
    return unit_range(resize(Image.fromarray(image), [size, size], InterpolationMode.BICUBIC))


def normalise(image: Float[Tensor, "*B 3 S S"]) -> Float[Tensor, "*B 3 S S"]:
    """Compute (x - mean) / std with the statistics of CLIP's training set."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return (image - mean.to(image.device)) / std.to(image.device)


def unit_range(picture: Image.Image) -> Float[Tensor, "3 S S"]:
    values: Tensor = pil_to_tensor(picture)
    return values.to(torch.float32) / 255.0
