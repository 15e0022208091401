"""The device that a script runs on: threads, deterministic algorithms, its name, and memory that is not enough."""

import os

import torch

from fdistill.runtime.errors import UserError

# What CUDA's libraries say when they cannot allocate, in errors of other types than torch's OutOfMemoryError.
ALLOCATION_FAILURES = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def set_up_device(device: str, threads: int) -> str:
    """Set torch's number of threads and its deterministic algorithms; return the device, `cpu` or `cuda`.

    `device` is `cpu`, `cuda`, or `auto`: a GPU if torch sees one. Raises UserError for `cuda` without a GPU.
    """
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS's order of summation may vary
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU here; use auto or cpu")
    return device


def name_of(device: torch.device) -> str:
    """Return `cpu`, or the name of the GPU: GPUs of different types round differently."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the GPU's memory was not enough, in torch or in CUDA's libraries."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in ALLOCATION_FAILURES)
    )
