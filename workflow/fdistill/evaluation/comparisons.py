"""Which system of a task is better than which, and how sure that is: paired tests between all of its students.

A difference is tested on the two systems' replicates, which are of the same samples of inputs and seeds. The p-values of
a metric are corrected together, for all pairs of students and, for a likelihood risk, all students against the teacher.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fdistill.evaluation.resampling import CONFIDENCE, holm, interval, mean_over_seeds, p_value
from fdistill.runtime.errors import UserError

# Below the teacher's own value, a student's samples are likelier than the teacher's: it has collapsed to a few modes.
# R_cvg is measured on the teacher's samples, which the teacher itself predicts best.
COLLAPSES = ("r_llh_token", "r_llh_sequence")


@dataclass(frozen=True)
class Measurement:
    """A metric or risk of one system: its mean over seeds, and each seed's replicates (S, R)."""

    mean: float
    replicates: list[list[float]]


def compare(systems: Mapping[str, Measurement], direction: str, teacher: Measurement | None = None) -> dict[str, Any]:
    """Compare the students `systems` in one metric, whose better `direction` is "higher" or "lower".

    With `teacher`, a lower value is better down to the teacher's own, and significantly below is collapse.

    Returns `{"pairs", "leaders", "collapsed"}`. `pairs` has for each pair of systems a and b {"a", "b", "difference"
    (mean of a less that of b), "interval" [low, high], "p", "p_holm"}; the teacher is b. `leaders` are the best system
    and those that it is not significantly better than; systems in `collapsed` do not lead.
    Raises UserError for systems with different numbers of seeds or replicates.
    """
    _check_shapes(systems if teacher is None else {**systems, "teacher": teacher})
    replicates = {name: mean_over_seeds(system.replicates) for name, system in systems.items()}
    means = {name: system.mean for name, system in systems.items()}
    names = list(combinations(systems, 2))
    if teacher is not None:
        replicates["teacher"], means["teacher"] = mean_over_seeds(teacher.replicates), teacher.mean
        names += [(name, "teacher") for name in systems]
    pairs = [_pair(a, b, means[a] - means[b], replicates[a] - replicates[b]) for a, b in names]
    for pair, corrected in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = corrected
    different = {frozenset((pair["a"], pair["b"])) for pair in pairs if pair["p_holm"] <= 1 - CONFIDENCE}
    collapsed = [
        name
        for name in systems
        if teacher is not None and means[name] < teacher.mean and frozenset((name, "teacher")) in different
    ]
    competing = [name for name in systems if name not in collapsed]
    best = (max if direction == "higher" else min)(competing, key=means.__getitem__, default=None)
    leaders = [name for name in competing if name == best or frozenset((name, best)) not in different]
    return {"pairs": pairs, "leaders": leaders, "collapsed": collapsed}


def _pair(a: str, b: str, difference: float, replicates: np.ndarray) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "difference": difference,
        "interval": interval(replicates),
        "p": p_value(difference, replicates),
    }


def _check_shapes(systems: Mapping[str, Measurement]) -> None:
    shapes = {name: np.shape(system.replicates) for name, system in systems.items()}
    for name, shape in shapes.items():
        first = next(iter(shapes))
        if shape != shapes[first]:
            raise UserError(
                f"'{name}' has {shape[0]} seeds with {shape[1:]} replicates, '{first}' {shapes[first][0]} with "
                f"{shapes[first][1:]}; run the rules score and risk again"
            )
