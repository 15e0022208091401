"""Preflight: what would stop a study after hours in a queue, found in seconds and said all at once.

Every check yields findings; a new check is one module here and one line in `CHECKS`. Nothing is downloaded but
configurations of a few kilobytes, and nothing is run or written.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from fdistill.preflight import data, disk, gpu, metrics, slurm, teachers
from fdistill.preflight.plan import Finding, Plan

__all__ = ["CHECKS", "Finding", "Plan", "preflight"]

CHECKS: tuple[Callable[[Plan], Iterator[Finding]], ...] = (
    data.check,
    teachers.check,
    metrics.check,
    gpu.check,
    disk.check,
    slurm.check,
)


def preflight(plan: Plan) -> list[Finding]:
    """All findings, in the order of `CHECKS`; what waits for a network waits side by side."""
    assert plan.architectures is not None  # once, before several checks ask for them at the same time
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        return [finding for found in pool.map(lambda check: list(check(plan)), CHECKS) for finding in found]
