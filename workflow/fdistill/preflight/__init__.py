"""Preflight: finds in seconds what would otherwise stop a study after hours in a queue, and reports all of it at once.

Every check yields findings; a new check is one module here and one line in `CHECKS`. Only configurations of a few
kilobytes are downloaded, no job is run, and nothing is written.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from fdistill.preflight import data, disk, gpu, metrics, packages, prompts, sinks, slurm, teachers, vocabularies
from fdistill.preflight.plan import Finding, Plan

__all__ = ["CHECKS", "Finding", "Plan", "preflight"]

CHECKS: tuple[Callable[[Plan], Iterator[Finding]], ...] = (
    data.check,
    teachers.check,
    packages.check,
    vocabularies.check,
    prompts.check,
    metrics.check,
    gpu.check,
    disk.check,
    sinks.check,
    slurm.check,
)


def preflight(plan: Plan) -> list[Finding]:
    """Return all findings, in the order of `CHECKS`. The checks run in parallel, because most wait for the network."""
    assert plan.architectures is not None  # computed now, before checks in several threads need it
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        return [finding for findings in pool.map(lambda check: list(check(plan)), CHECKS) for finding in findings]
