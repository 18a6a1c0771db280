"""One seed for every source of randomness."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, ask torch for deterministic kernels, and return a CPU generator.

    Args:
        seed: non-negative; the same seed, code and machine give bit-identical results on CPU.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - third-party code (hdbscan, scikit-learn) draws from the global state
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling every new tensor with NaN costs a sixth of a training step; it only helps to find reads of empty memory
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - not in torch's stubs
    return torch.Generator().manual_seed(seed)
