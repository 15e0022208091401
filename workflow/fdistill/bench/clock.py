"""Where time goes, and how much memory is held."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


class Clock:
    """Seconds by part; time spent in a part within a part is the inner one's alone."""

    def __init__(self, device: torch.device):
        self.device, self.open = device, []
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs within counts as this part."""
        began = now(self.device)
        self.open.append(0.0)
        try:
            yield
        finally:
            spent = now(self.device) - began
            self.seconds[name] += spent - self.open.pop()
            if self.open:
                self.open[-1] += spent


def now(device: torch.device) -> float:
    """The time in seconds, after all that the device has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


PEAK = {
    "cuda": "torch.cuda.max_memory_allocated",
    "cpu": "the allocations that torch's profiler records",
}


def peak_memory(work: Callable[[], Any], device: torch.device) -> int:
    """Bytes that torch holds at most while `work` runs, beyond those that it held before. `PEAK` says how measured."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    records = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = highest = 0
    for record in sorted(records, key=lambda record: record.start_ns()):
        held += record.nbytes()
        highest = max(highest, held)
    return highest
