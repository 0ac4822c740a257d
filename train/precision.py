"""The numbers in which a step computes: half as wide where a GPU is faster with them."""

import torch

_TENSOR_CORES = (7, 0)  # the first compute capability with any: an older GPU is slower in float16


def choose_precision(device: torch.device, amp: bool) -> torch.dtype:
    """bfloat16 where the GPU has it, else float16 where it has tensor cores; float32 on a CPU and without `amp`."""
    if not amp or device.type != "cuda":
        return torch.float32
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16 if torch.cuda.get_device_capability(device) >= _TENSOR_CORES else torch.float32


def make_scaler(device: torch.device, amp: bool) -> torch.amp.GradScaler:
    """Keeps float16's gradients from vanishing, and leaves out a step in which one overflowed; else does nothing."""
    return torch.amp.GradScaler(device.type, enabled=choose_precision(device, amp) == torch.float16)
