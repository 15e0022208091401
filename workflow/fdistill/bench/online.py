"""The training step on offline samples of the teacher beside that on online ones (Wen et al. 2023, Table 4).

Both run in one process, in turn, from the same weights and on the same examples: what else the machine does slows both.
"""

import math
from typing import Any

from fdistill.bench.clock import now
from fdistill.bench.machine import other_cpus
from fdistill.bench.steps import Terms, spread
from fdistill.losses.sequences import ONLINE_TEACHER_SAMPLES, TEACHER_SAMPLES
from fdistill.runtime.errors import UserError
from fdistill.training.trainer import Trainer

OFFLINE, ONLINE = "offline", "online"


def pairs(methods: dict[str, Terms]) -> dict[str, str]:
    """Return the online counterpart of each offline method: the same terms, but on samples that training draws.

    Raises UserError for a method that is in no pair.
    """
    kinds = {TEACHER_SAMPLES: ONLINE_TEACHER_SAMPLES}
    found = {}
    for name, terms in methods.items():
        online = [term | {"sequences": kinds.get(term["sequences"], term["sequences"])} for term in terms]
        if other := next((other for other in methods if online == methods[other] != terms), None):
            found[name] = other
    if alone := sorted(set(methods) - {*found, *found.values()}):
        raise UserError(
            f"--methods: {alone[0]} has no counterpart: the same terms, with {ONLINE_TEACHER_SAMPLES} in one where the "
            f"other has {TEACHER_SAMPLES}; give both of a pair, and change the terms of both alike"
        )
    return found


def compare(trainers: dict[str, Trainer], steps: int) -> dict[str, Any]:
    """Measure `steps` steps of each of two trainers of one student, `OFFLINE` and `ONLINE`, after one that warms up.

    A step includes the making of its batch, as in training. Returns the seconds of each and, as "speedup", the
    ratios of online to offline of the same examples: {"median", "min", "max", "interval"}, the last the median's 95 %
    interval by order statistics. "other_cpus" is the mean number of CPUs that other programs used meanwhile, None where
    the system does not say.
    """
    student = trainers[OFFLINE].student
    weights = {name: value.clone() for name, value in student.module.state_dict().items()}
    streams = {name: trainer.batches() for name, trainer in trainers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    used_by_others = other_cpus()
    for step in range(steps + 1):
        for name in sorted(trainers, reverse=bool(step % 2)):
            student.module.load_state_dict(weights)
            trainers[name].state.step = step  # determines the samples
            began = now(student.device)
            trainers[name].step(next(streams[name]))
            seconds[name].append(now(student.device) - began)
    student.module.load_state_dict(weights)
    others = used_by_others()
    measured = {name: times[1:] for name, times in seconds.items()}
    ratios = [online / offline for online, offline in zip(measured[ONLINE], measured[OFFLINE], strict=True)]
    return {
        "seconds": {name: spread(times) for name, times in measured.items()},
        "speedup": spread(ratios) | {"interval": median_interval(ratios)},
        "other_cpus": others,
    }


def median_interval(values: list[float]) -> list[float] | None:
    """Return the 95 % interval of a median, whatever the distribution, by order statistics (Conover 1999, 3.2).

    None for fewer than six values, of which no two are so far apart.
    """
    from scipy import stats

    found = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    return None if math.isnan(found.low + found.high) else [float(found.low), float(found.high)]
