"""Which system of a task is better than which, and how sure that is: paired tests between all of its students.

A difference is tested on the two systems' replicates, which are over the same samples of inputs and seeds. The p-values
of a metric are corrected together: all pairs of students and, for a likelihood risk, all students against the teacher.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.shapes import COUNT, INTERVAL, AtLeast
from fdistill.evaluation.aggregate import RISK_TITLES, TEACHER_DIST, read_aggregated
from fdistill.evaluation.replicates import read_replicates
from fdistill.evaluation.resampling import CONFIDENCE, holm, interval, limits, p_value
from fdistill.runtime.errors import UserError

TEACHER = "teacher"

# Below the teacher's own value, a student's samples are likelier than the teacher's: it has collapsed to a few modes.
# R_cvg is measured on the teacher's samples, which the teacher itself predicts best.
COLLAPSES = ("r_llh_token", "r_llh_sequence")

# A file of comparisons, as `artifacts.shapes` describes it.
_P = AtLeast(float)
_PAIR = {"a": str, "b": str, "difference": float, "interval": INTERVAL, "p": _P, "p_holm": _P}
_METRIC = {
    **{"title": str, "direction": ("higher", "lower"), "pairs": [_PAIR], "best": (str, None)},
    **{key: [str] for key in ("leaders", "collapsed", "seeds", "missing", "notes")},
}
COMPARISONS_FILE = {"task": str, "students": [str], "n_inputs": COUNT, "metrics": {...: _METRIC}}


@dataclass(frozen=True)
class Difference:
    """How much one system's mean is above another's: with the 95 % interval, and the p-value corrected by Holm."""

    value: float
    low: float
    high: float
    p: float

    @property
    def is_significant(self) -> bool:
        """Return whether the two systems differ beyond chance."""
        return self.p <= 1 - CONFIDENCE

    def __neg__(self) -> "Difference":
        return Difference(0.0 - self.value, 0.0 - self.high, 0.0 - self.low, self.p)  # never -0.0


def differences(pairs: list[dict[str, Any]]) -> dict[tuple[str, str], Difference]:
    """Return the difference of each pair of systems (first, second), in both orders, from a metric's `pairs`."""
    found = {
        (pair["a"], pair["b"]): Difference(pair["difference"], *pair["interval"], pair["p_holm"]) for pair in pairs
    }
    return found | {(b, a): -difference for (a, b), difference in found.items()}


@dataclass(frozen=True)
class Measurement:
    """A metric or risk of one system: its values (S,) by seed, and the replicates (S, R) of each."""

    values: Sequence[float]
    replicates: Sequence[Sequence[float]]

    @property
    def mean(self) -> float:
        """Return the mean over seeds."""
        return fmean(self.values)


def measurement(path: Path, metric: str, values: Mapping[str, float]) -> Measurement:
    """Return a system's `values` by seed in a metric of the file at `path`, with their replicates beside it.

    Raises UserError for replicates that are not of these seeds.
    """
    replicates = read_replicates(path).get(metric, [])
    if len(replicates) != len(values):
        raise UserError(f"{path}: the replicates beside it are not of its seeds; delete both and run again")
    return Measurement(list(values.values()), replicates)


def compare(systems: Mapping[str, Measurement], direction: str, teacher: Measurement | None = None) -> dict[str, Any]:
    """Compare the students `systems` in one metric, whose better `direction` is "higher" or "lower".

    With `teacher`, lower is better down to the teacher's own value, and significantly below it is collapse.

    Returns `{"pairs", "best", "leaders", "collapsed"}`. `pairs` has for each pair of systems {"a", "b", "difference"
    (the mean of a less that of b), "interval" [low, high], "p", "p_holm"}; in a pair with the teacher, it is b.
    `leaders` are the system with the best mean and those that it is not significantly better than; systems in
    `collapsed` do not lead. `best` is significantly better than every other that has not collapsed, or None.
    """
    everyone = dict(systems) if teacher is None else {**systems, TEACHER: teacher}
    names = [*combinations(systems, 2), *((name, TEACHER) for name in systems if teacher is not None)]
    pairs = [{"a": a, "b": b, **paired(everyone[a], everyone[b])} for a, b in names]
    for pair, corrected in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = corrected
    different = {names: found.value for names, found in differences(pairs).items() if found.is_significant}
    collapsed = [name for name in systems if different.get((name, TEACHER), 0) < 0]
    competing = [name for name in systems if name not in collapsed]
    first = (max if direction == "higher" else min)(competing, key=lambda name: systems[name].mean, default=None)
    leaders = [name for name in competing if (name, first) not in different]
    best = first if len(leaders) == 1 and len(competing) > 1 else None
    return {"pairs": pairs, "best": best, "leaders": leaders, "collapsed": collapsed}


def paired(first: Measurement, second: Measurement) -> dict[str, Any]:
    """Return the mean of `first` less that of `second`: {"difference", "interval" [low, high], "p"}, uncorrected."""
    differences = np.subtract(first.values, second.values).tolist()  # by seed, or from a teacher, which has one
    replicates = np.subtract(first.replicates, second.replicates)
    certainty = {"interval": interval(differences, replicates), "p": p_value(differences, replicates)}
    return {"difference": fmean(differences), **certainty}


def compare_task(metrics: list[Path], risks: list[Path], students: list[str], task: str) -> dict[str, Any]:
    """Compare a task's `students` in every metric and risk of their `metrics.json` and aggregated `risk.json`.

    Beside each file are its replicates; the teacher's `risk.json` is among the risks.

    Returns `{"task", "n_inputs", "students", "metrics": {key: {"title", "direction", "seeds", "pairs", "best",
    "leaders", "collapsed", "missing", "notes"}}, "lineage"}`. `seeds` are those of the students that are compared;
    `missing` has the students without a value, which are not; `notes` say where intervals and p-values cannot be
    relied on.
    Raises UserError for files of another task, of different test splits or seeds, of different ways to compute a
    metric, of a system twice, or of no student; for replicates of another file; for a student given twice, the teacher
    as one, and a system without its file.
    """
    for name in students:
        if name == TEACHER or students.count(name) > 1:
            raise UserError(
                f"--students: '{name}' is {'no student' if name == TEACHER else 'given twice'}; leave it out"
            )
    entries: dict[str, dict[str, dict]] = {}  # by metric and system
    sizes: dict[Path, int] = {}
    lengths: dict[Path, int] = {}
    systems: dict[str, set[str]] = {"metrics": set(), "risks": set()}
    for path, field in [*((path, "metrics") for path in metrics), *((path, "risks") for path in risks)]:
        file = read_aggregated(path, field)
        if file["method"] not in (*students, TEACHER):
            raise UserError(f"{path}: '{file['method']}' is no student of --students ({', '.join(students)})")
        sizes[path] = file["n_inputs"]
        replicates = read_replicates(path)
        if file["method"] in systems[field]:
            raise UserError(f"{path}: a second file of '{file['method']}'; give one")
        systems[field].add(file["method"])
        for key, entry in file[field].items():
            values = entry["seeds"].values()
            if (key in replicates or None not in values) and len(replicates.get(key, [])) != len(values):
                raise UserError(f"{path}: the replicates beside it are not of its seeds; delete both and run again")
            entries.setdefault(key, {})[file["method"]] = entry | {"replicates": replicates.get(key)}
            if key in replicates:
                lengths[path] = len(replicates[key][0])
    has_risk = any(entry["mean"] is not None for key in COLLAPSES for entry in entries.get(key, {}).values())
    _check_complete(systems, students, needs_teacher=has_risk)
    _check_equal(sizes, "test inputs")
    _check_equal(lengths, "number of replicates")
    n_inputs = next(iter(sizes.values()))
    compared = {
        key: compare_metric(key, of_systems, students) for key, of_systems in entries.items() if key != TEACHER_DIST
    }
    return {
        "task": task,
        "n_inputs": n_inputs,
        "students": students,
        "metrics": {
            key: metric | {"notes": _notes(metric, entries[key], n_inputs)} for key, metric in compared.items()
        },
        "lineage": common_lineage(*metrics, *risks, task=task, seeds_differ=True),
    }


def _notes(compared: Mapping[str, Any], entries: Mapping[str, dict], n_inputs: int) -> list[str]:
    """The limits of a metric's intervals and p-values; none where no system has a value."""
    if all(entry["replicates"] is None for entry in entries.values()):
        return []
    return limits(len(compared["seeds"]), n_inputs, len(compared["pairs"]))


def compare_metric(key: str, entries: dict[str, dict], students: list[str]) -> dict[str, Any]:
    """Compare the students in one metric.

    `entries` has the metric's entry of `metrics.json` or `risk.json` by system, with its `replicates` or None. Returns
    what `compare` does, and {"title", "direction", "seeds", "missing"}. Raises UserError for students of different
    seeds or signatures, and for a teacher of several seeds that are not theirs.
    """
    values = {system: list(entry["seeds"].values()) for system, entry in entries.items()}
    measured = {
        system: Measurement(values[system], entry["replicates"])
        for system, entry in entries.items()
        if entry["replicates"] is not None and values[system] and None not in values[system]
    }
    present = {system: measured[system] for system in students if system in measured}
    teacher = measured.get(TEACHER) if key in COLLAPSES else None
    paired = [*present, TEACHER] if teacher is not None and len(teacher.values) > 1 else present
    _check_equal({system: list(entries[system]["seeds"]) for system in paired}, f"seeds of {key}")
    _check_equal({system: entries[system].get("signature") for system in present}, f"signature of {key}")
    first = next(iter(entries.values()))
    direction = first.get("direction", "lower")
    missing = [system for system in students if system not in present]
    seeds = next((list(entries[system]["seeds"]) for system in present), [])
    compared = compare(present, direction, teacher)
    title = first.get("title", RISK_TITLES.get(key, key))
    return {"title": title, "direction": direction, "seeds": seeds, **compared, "missing": missing}


def _check_complete(given: Mapping[str, set[str]], students: Sequence[str], needs_teacher: bool) -> None:
    """Raise UserError for a system without its file among those `given`, by kind.

    The teacher's is needed for its likelihood risk, which a teacher from outside has not.
    """
    of_risks = [*students, *([TEACHER] if needs_teacher else [])]
    for kind, name, needed in (("metrics", "metrics.json", students), ("risks", "risk.json", of_risks)):
        for system in needed if given[kind] else ():
            if system not in given[kind]:
                why = "without which a student that has collapsed would look best"
                instead = why if system == TEACHER else f"or leave '{system}' out of --students"
                raise UserError(f"--{kind}: the {name} of '{system}' is missing; give it, {instead}")


def _check_equal(values: Mapping[Any, Any], what: str) -> None:
    """Raise UserError for two systems or files whose `values` differ."""
    first = next(iter(values), None)
    for name, value in values.items():
        if value != values[first]:
            raise UserError(
                f"{name}: has the {what} {value}, but {first} has {values[first]}; they cannot be compared: give files "
                "of one study"
            )
