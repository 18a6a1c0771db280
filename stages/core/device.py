"""Where tensors are computed."""

import os

import torch


def pick_device() -> torch.device:
    """The first GPU when there is one, else the CPU with one thread per core this process may use."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return torch.device("cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 matrix products run in hardware there; elsewhere they are slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context in which matrix products run in bfloat16, where that is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device))
