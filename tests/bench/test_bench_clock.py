"""The benchmark's clock and its peak memory."""

from contextlib import contextmanager

import torch
from fdistill.bench.clock import peak_memory
from fdistill.training import step_parts


def test_parts_are_reported_to_the_listener():
    parts = []

    @contextmanager
    def listener(name):
        parts.append(name)
        yield

    with step_parts.observed_by(listener), step_parts.step_part(step_parts.LOSS):
        pass
    with step_parts.step_part(step_parts.LOSS):
        pass
    assert parts == [step_parts.LOSS]


def test_peak_memory_is_what_is_allocated_at_the_same_time():
    size, kept = 2**20, []

    def allocate():
        for _ in range(3):
            torch.zeros(size)  # freed immediately
        kept.append(torch.zeros(size) + 1)

    peak = peak_memory(allocate, torch.device("cpu"))
    assert 2 * 4 * size <= peak < 2 * 4 * size + 10_000
