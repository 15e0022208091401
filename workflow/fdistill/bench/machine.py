"""The machine on which something was measured, without which an absolute time means nothing."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fdistill.artifacts.manifest import versions

BASELINE_PACKAGES = ("trl", "liger-kernel")
STAT = Path("/proc/stat")  # of Linux: its first line has the time of all CPUs, by what they did
INSTALL = "python -m pip install -e '.[bench]'"


def machine(device: str, threads: int) -> dict[str, Any]:
    """Return the device's name, threads, load, and package versions, None for a package that is not installed.

    Call it after measuring: the load shows whether other programs were running.
    """
    name = torch.cuda.get_device_name() if device == "cuda" else f"{threads} thread(s) of {_processor()}"
    return {
        "device": device,
        "name": name,
        "threads": threads,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[1],  # of the last five minutes
        "versions": versions() | dict(map(_version, BASELINE_PACKAGES)),
    }


def busy_seconds() -> float | None:
    """Return the seconds that the machine's CPUs have worked, for all programs together; None without /proc/stat."""
    if not STAT.exists():
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, *_ = map(int, STAT.read_text().split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def other_cpus() -> Callable[[], float | None]:
    """Return a function that returns the mean number of CPUs that other programs have used since this call.

    It returns None where the system does not say.
    """
    before, own, start = busy_seconds(), time.process_time(), time.perf_counter()

    def used() -> float | None:
        after = busy_seconds()
        if before is None or after is None:
            return None
        return max(0.0, after - before - (time.process_time() - own)) / (time.perf_counter() - start)

    return used


def _processor() -> str:
    """Return the processor's name from /proc/cpuinfo, or else its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"a {platform.machine()} CPU"


def _version(package: str) -> tuple[str, str | None]:
    try:
        return package, importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return package, None
