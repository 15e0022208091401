"""Which student of a task is best, by how much, and how sure that is: what the report says in words."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from fdistill.evaluation.aggregate import RISK_TITLES
from fdistill.evaluation.comparisons import TEACHER, Difference, differences
from fdistill.evaluation.tables.numbers import FINE, FORM


@dataclass(frozen=True)
class Rival:
    """A student that has not the best mean: how much better the first is, positive in the metric's better direction."""

    system: str
    lead: Difference


@dataclass(frozen=True)
class Standing:
    """Where the students of a task stand in one metric or risk.

    `best` is better than every other beyond chance, or None; `first` has the best mean, or is None when no student has
    a value that counts. `rivals` are the others that have not collapsed, from the best mean on, and `tied` those of
    them that are not significantly worse. `missing` maps students without a value to reason and remedy.
    """

    title: str
    direction: str
    form: str  # of differences, as in `format`
    best: str | None
    first: str | None
    rivals: list[Rival]
    collapsed: list[str]
    missing: dict[str, dict[str, str]]
    means: dict[str, Any]  # of every system, a row of the frame

    @property
    def firsts(self) -> list[str]:
        """Return the students that have the best mean: `first`, and those with the same mean."""
        return [self.first, *(rival.system for rival in self.rivals if rival.lead.value == 0)]

    @property
    def behind(self) -> list[Rival]:
        """Return the rivals with a worse mean than the first."""
        return [rival for rival in self.rivals if rival.lead.value != 0]

    @property
    def tied(self) -> list[Rival]:
        """Return the rivals with a worse mean that are not significantly worse than the first."""
        return [rival for rival in self.behind if not rival.lead.is_significant]

    @property
    def beaten(self) -> list[Rival]:
        """Return the rivals that are significantly worse than the first."""
        return [rival for rival in self.rivals if rival.lead.is_significant]


def standings(comparisons: dict[str, Any], frame: pd.DataFrame) -> dict[str, Standing]:
    """Return the standing in each metric and risk of a task's comparisons, with the means of `results_frame`."""
    means = frame[frame["seed"].isna() & (frame["task"] == comparisons["task"])]
    return {
        metric: _standing(metric, entry, means[means["metric"] == metric])
        for metric, entry in comparisons["metrics"].items()
    }


def _standing(metric: str, entry: dict[str, Any], means: pd.DataFrame) -> Standing:
    rows = {row.system: row for row in means.itertuples()}
    compared = dict.fromkeys(name for pair in entry["pairs"] for name in (pair["a"], pair["b"]))
    competing = [name for name in (compared or entry["leaders"]) if name not in (TEACHER, *entry["collapsed"])]
    sign = 1 if entry["direction"] == "higher" else -1
    order = sorted(competing, key=lambda name: -sign * rows[name].value)
    found = differences(entry["pairs"])
    leads = {name: found[order[0], name] for name in order[1:]}
    return Standing(
        title=entry["title"],
        direction=entry["direction"],
        form=FINE if metric in RISK_TITLES else FORM,
        best=entry["best"],
        first=order[0] if order else None,
        rivals=[Rival(name, lead if sign > 0 else -lead) for name, lead in leads.items()],
        collapsed=entry["collapsed"],
        missing={name: _missing(rows.get(name)) for name in entry["missing"]},
        means=rows,
    )


def _missing(row: Any) -> dict[str, str]:
    reason, fix = (None, None) if row is None else (row.missing_reason, row.missing_fix)
    if pd.isna(reason):
        return {"reason": "not every seed has a value", "fix": "look at the score.json and risk.json of each seed"}
    return {"reason": reason, "fix": fix}


def untrained_teacher(standing: Standing, trivial: list[str]) -> list[str]:
    """Return the trivial systems whose interval reaches the teacher's, so that it may have learnt nothing."""
    teacher = standing.means.get(TEACHER)
    rows = [standing.means[name] for name in trivial if name in standing.means]
    if teacher is None or pd.isna(teacher.low):
        return []
    if standing.direction == "higher":
        return [row.system for row in rows if row.high >= teacher.low]
    return [row.system for row in rows if row.low <= teacher.high]
