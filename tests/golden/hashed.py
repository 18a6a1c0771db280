"""The counter hash that the golden files' inputs and weights come from; portable to any language.

h = i + seed * 0x9E3779B9;  h ^= h >> 16;  h *= 0x85EBCA6B;  h ^= h >> 13;  h *= 0xC2B2AE35;  h ^= h >> 16   (mod 2^32)
"""

import math

import numpy as np
import torch
from torch import nn


def hash_u(count: int, seed: int) -> np.ndarray:
    """`count` float64 values in [0, 1)."""
    mask = 0xFFFFFFFF
    h = (np.arange(count, dtype=np.uint64) + np.uint64((seed * 0x9E3779B9) & mask)) & np.uint64(mask)
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x85EBCA6B)) & np.uint64(mask)
    h ^= h >> np.uint64(13)
    h = (h * np.uint64(0xC2B2AE35)) & np.uint64(mask)
    h ^= h >> np.uint64(16)
    return h / 2.0**32


def hval(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> torch.Tensor:
    """float32 values in [-scale, scale)."""
    values = ((2 * hash_u(math.prod(shape), seed) - 1) * scale).astype(np.float32)
    return torch.from_numpy(values.reshape(shape))


def fill(tensors: list[torch.Tensor], kinds: list[str], base: int) -> None:
    """Fill tensors in state-dict order; kind is weight, bias, mean, gamma, var or count (skipped, but counted)."""
    for k, (tensor, kind) in enumerate(zip(tensors, kinds, strict=True)):
        shape = tuple(tensor.shape)
        if kind == "weight":
            fan_in = math.prod(shape[1:])
            value = hval(shape, base + k, 1.4 * math.sqrt(3 / fan_in))
        elif kind in ("bias", "mean"):
            value = hval(shape, base + k, 0.1)
        elif kind == "gamma":
            value = 1 + hval(shape, base + k, 0.2)
        elif kind == "var":
            value = 1 + hval(shape, base + k, 0.5)
        else:
            continue
        with torch.no_grad():
            tensor.copy_(value)


def conv_kinds(count: int) -> list[str]:
    """Kinds of `count` convolutions with bias."""
    return ["weight", "bias"] * count


def conv_tensors(*layers: nn.Conv2d) -> list[torch.Tensor]:
    """Weights and biases of convolutions in order."""
    return [tensor for layer in layers for tensor in (layer.weight, layer.bias) if tensor is not None]
