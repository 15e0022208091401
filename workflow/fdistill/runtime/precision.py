"""The floating-point precision in which models run."""

import torch


def compute_type(precision: str, device: str) -> torch.dtype:
    """Return the type that models compute in: float32 or bfloat16.

    `precision` is `fp32`, `bf16`, or `auto`, which is bf16 on a GPU that supports it and otherwise fp32.
    """
    has_bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and has_bf16) else torch.float32


def autocast(precision: str, device: str) -> torch.autocast:
    """Return the autocast context of `compute_type`; for float32 it is disabled."""
    return torch.autocast(device, torch.bfloat16, enabled=compute_type(precision, device) == torch.bfloat16)
