"""Measuring time, by parts of a step, and peak memory."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


class Clock:
    """Measures the seconds of each part; time in a nested part counts for the inner part only."""

    def __init__(self, device: torch.device):
        self.device = device
        self.open: list[float] = []  # for each open part, outermost first: the seconds spent in parts inside it
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time inside this context for part `name`."""
        start = now(self.device)
        self.open.append(0.0)
        try:
            yield
        finally:
            seconds = now(self.device) - start
            self.seconds[name] += seconds - self.open.pop()
            if self.open:
                self.open[-1] += seconds


def now(device: torch.device) -> float:
    """Return the time in seconds, after the device has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


PEAK = {
    "cuda": "torch.cuda.max_memory_allocated",
    "cpu": "the allocations that torch's profiler records",
}


def peak_memory(run: Callable[[], Any], device: torch.device) -> int:
    """Return the peak of the bytes that torch allocates while `run` runs, beyond those allocated before.

    `PEAK` says by which means they are measured.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiling:
        run()
    records = [event for event in profiling.profiler.kineto_results.events() if event.name() == "[memory]"]
    allocated = peak = 0
    for record in sorted(records, key=lambda record: record.start_ns()):
        allocated += record.nbytes()
        peak = max(peak, allocated)
    return peak
