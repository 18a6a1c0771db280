"""Where and how tensors are computed: device, precision, and one seed for every source of randomness."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from stages.core.run.parallel import cores


def pick_device(*, threads: int | None = 1) -> torch.device:
    """Return the first GPU when there is one, else the CPU.

    Args:
        threads: that share an operation on the CPU; None: one a core, for networks whose layers are large. Small layers
            are a hundred operations of less than a millisecond: on several threads most of their time is waiting, and
            on a machine with other work they take ten times the processor time. Many images use the cores by
            `stages.core.run.parallel` instead, and their scores do not depend on the number of cores.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(threads or cores())
    return torch.device("cpu")


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads on the CPU, for a training; None: one a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Report whether bfloat16 matrix products run in hardware there; elsewhere they are slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return a context in which matrix products run in bfloat16, where that is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device))


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, ask torch for deterministic kernels, and return a CPU generator.

    Args:
        seed: non-negative; with the same code and machine, results on CPU are bit-identical.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - third-party code (hdbscan, scikit-learn) draws from the global state
    torch.manual_seed(seed)
    torch.set_deterministic_debug_mode("warn")  # `use_deterministic_algorithms` does the same and imports a compiler
    # filling every new tensor with NaN costs a sixth of a training step; it only helps to find reads of empty memory
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - not in torch's stubs
    return torch.Generator().manual_seed(seed)
