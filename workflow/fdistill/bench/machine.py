"""Where something was measured: an absolute time means nothing without it."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from fdistill.artifacts.manifest import versions

OPPONENTS = ("trl", "liger-kernel")
INSTALL = "python -m pip install -e '.[bench]'"


def machine(device: str, threads: int) -> dict[str, Any]:
    """The device's name, threads, load, and the versions of all that was measured, None for what is not installed.

    To be called after measuring: the load tells whether other programs ran beside.
    """
    name = torch.cuda.get_device_name() if device == "cuda" else f"{threads} thread(s) of {_processor()}"
    return {
        "device": device,
        "name": name,
        "threads": threads,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[1],  # of the last five minutes
        "versions": versions() | dict(map(_version, OPPONENTS)),
    }


def _processor() -> str:
    """As the kernel calls it, where it does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"a {platform.machine()} CPU"


def _version(package: str) -> tuple[str, str | None]:
    try:
        return package, importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return package, None
