"""The device that a script runs on, its threads, and results that repeat."""

import torch

from fdistill.runtime.errors import UserError


def set_up(device: str, threads: int) -> str:
    """Fix the number of threads and make results repeatable; returns the device that `device` stands for."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU here; use auto or cpu")
    return device
