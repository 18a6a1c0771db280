"""Where networks compute in bfloat16."""

import torch


def gpu_precision(device: torch.device) -> torch.autocast:
    """A context of mixed precision for training on patches, on a GPU only.

    On a CPU with bfloat16 instructions whole images gain by it, which `stages.core.device.mixed_precision` is for, but
    the gradients of batches of patches take ten times as long as in float32.
    """
    supported = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=supported)
