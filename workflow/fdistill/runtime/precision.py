"""In which precision models run."""

import torch


def compute_type(precision: str, device: str) -> torch.dtype:
    """The type of what a model computes: `auto` is bf16 on a GPU that has it, otherwise float32."""
    has_bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if precision == "bf16" or (precision == "auto" and has_bf16) else torch.float32


def autocast(precision: str, device: str) -> torch.autocast:
    """The context in which models run so."""
    return torch.autocast(device, torch.bfloat16, enabled=compute_type(precision, device) == torch.bfloat16)
