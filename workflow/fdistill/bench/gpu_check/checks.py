"""The checks, one entry each, in the order in which they run on a family's model in one precision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fdistill.bench.gpu_check import engines, memory, numerics, resumption, stages
from fdistill.bench.gpu_check.case import Case
from fdistill.bench.gpu_check.outcome import Measured

METHODS = ("js", "tvd", "rkl")
CACHED = ("js", "tvd")  # rkl learns from the student's own samples alone, of which nothing is stored


@dataclass(frozen=True)
class Check:
    """A check: what it does with a case, and the checks whose files it reads.

    The function returns what it measured, raises NotApplicable, or any other exception when the check fails.
    """

    run: Callable[[Case], Measured]
    needs: tuple[str, ...] = ()


CHECKS: dict[str, Check] = {
    "finetune": Check(stages.finetune),
    "predistill": Check(stages.predistill, ("finetune",)),
    "sample": Check(stages.sample, ("finetune",)),
    "cache": Check(stages.cache, ("sample",)),
    **{method: Check(partial(stages.distill, method=method), ("predistill", "sample")) for method in METHODS},
    **{
        f"{method} cached": Check(partial(stages.distill_cached, method=method), ("cache", method)) for method in CACHED
    },
    **{
        f"{method} gradient": Check(partial(numerics.gradients, method=method), ("predistill", "sample"))
        for method in METHODS
    },
    "generate": Check(stages.generate, ("predistill", "sample")),
    "risk": Check(stages.risk, ("generate",)),
    "resumed": Check(resumption.resumed, ("predistill", "sample")),
    "halving": Check(memory.halving),
    "ctranslate2": Check(engines.ctranslate2, ("finetune",)),
}


def with_needed(names: list[str]) -> list[str]:
    """Return the checks and those that they need, in order."""
    wanted = set(names)
    for name in reversed(CHECKS):  # a check comes behind those that it needs
        if name in wanted:
            wanted |= {*CHECKS[name].needs}
    return [name for name in CHECKS if name in wanted]
