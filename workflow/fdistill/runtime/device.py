"""The device that a script runs on, its number of threads, and deterministic algorithms."""

import torch

from fdistill.runtime.errors import UserError


def set_up_device(device: str, threads: int) -> str:
    """Set torch's number of threads and its deterministic algorithms; return the device, `cpu` or `cuda`.

    `device` is `cpu`, `cuda`, or `auto`: a GPU if torch sees one. Raises UserError for `cuda` without a GPU.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU here; use auto or cpu")
    return device
