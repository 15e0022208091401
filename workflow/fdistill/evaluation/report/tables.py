"""The tables that only the report has: comparison matrices, standings, costs."""

from typing import Any

import pandas as pd

from fdistill.evaluation.comparisons import TEACHER, Difference, differences
from fdistill.evaluation.costs import Cost
from fdistill.evaluation.report.standings import Standing
from fdistill.evaluation.tables.numbers import NONE, plain, signed
from fdistill.evaluation.tables.results import ARROWS
from fdistill.evaluation.tables.table import Table, cells_of

SIGNS = {"better": " ▲", "worse": " ▼", "different": " ≠"}
SELF = "·"
TIMES = ("Training", "What it needs", "Together")


def matrix(standing: Standing, entry: dict[str, Any], titles: dict[str, str]) -> Table:
    """Build the matrix of a metric's comparisons: the mean of the row's system less that of the column's.

    `entry` is the metric's in the file of comparisons, `titles` has the students in the order of rows, and the teacher,
    who has a column where students are tested against it.
    """
    found = differences(entry["pairs"])
    students = [name for name in titles if name != TEACHER]
    columns = [*students, *([TEACHER] if any(TEACHER in pair for pair in found) else [])]
    sign = 1 if standing.direction == "higher" else -1
    unranked = {TEACHER, *standing.collapsed}
    rows, marks = [], []
    for row in students:
        rows.append([titles[row]])
        marks.append([""])
        for column in columns:
            difference = found.get((row, column))
            mark = _mark(difference, sign, is_ranked=not unranked & {row, column})
            shown = NONE if difference is None else signed(difference.value, standing.form) + SIGNS.get(mark, "")
            rows[-1].append(SELF if row == column else shown)
            marks[-1].append(mark)
    cells = cells_of(["", *(titles[name] for name in columns)], [rows])
    title = f"{standing.title}{ARROWS[standing.direction]}"
    return Table("", cells, title=title, marks=pd.DataFrame(marks, cells.index, cells.columns))


def _mark(difference: Difference | None, sign: int, *, is_ranked: bool) -> str:
    """Whether the first system of the difference is significantly better or worse, or differs from an unranked one."""
    if difference is None or not difference.is_significant:
        return ""
    if not is_ranked:
        return "different"
    return "better" if sign * difference.value > 0 else "worse"


def standings_table(standings: list[Standing], titles: dict[str, str]) -> Table:
    """Build the table of who has the best mean in each metric and risk of a task, and of who is not worse."""
    headings = ["Metric", "Best mean", "Value", "Ahead of the next (95 % interval)", "Not significantly worse"]
    rows, marks = [], []
    for standing in standings:
        rows.append([standing.title + ARROWS[standing.direction], *_first(standing, titles)])
        marks.append(
            ["", "best" if standing.best else "tied" * (len(standing.rivals) > len(standing.beaten)), "", "", ""]
        )
    cells = cells_of(headings, [rows])
    return Table(
        "",
        cells,
        title="The best mean in every metric and risk",
        names=2,
        widths={headings[-1]: 0.4},
        marks=pd.DataFrame(marks, cells.index, cells.columns),
    )


def _first(standing: Standing, titles: dict[str, str]) -> list[str]:
    """The system with the best mean, the mean, how far it is ahead, and who is not worse."""
    if standing.first is None:
        return [NONE] * 4
    value = plain(standing.means[standing.first].value)
    firsts = ", ".join(titles[name] for name in standing.firsts)
    if not standing.behind:
        return [firsts, value, NONE, NONE]
    lead = standing.behind[0].lead
    value_ahead, low, high = (plain(number, standing.form) for number in (lead.value, lead.low, lead.high))
    ahead = f"{value_ahead} ({low} to {high})"
    tied = ", ".join(titles[rival.system] for rival in standing.tied) or "no other"
    return [firsts, value, ahead, tied]


def cost_table(standing: Standing | None, costs: dict[str, Cost], titles: dict[str, str]) -> Table:
    """Build the table of the students' costs, beside the main metric of their task."""
    rows = []
    for system, title in titles.items():
        row, cost = standing.means.get(system) if standing else None, costs.get(system)
        value = NONE if row is None or pd.isna(row.value) else plain(row.value)
        seconds = () if cost is None else (cost.training, cost.before, cost.seconds)
        times = [f"{time:,.1f}" for time in seconds] or [NONE] * len(TIMES)
        rows.append([title, value, *times, NONE if cost is None else f"{cost.gpu_hours:,.3f}"])
    name = "Metric" if standing is None else standing.title + ARROWS[standing.direction]
    headings = ["Model", name, *(f"{time},\N{NO-BREAK SPACE}s" for time in TIMES), "GPU hours"]
    return Table("", cells_of(headings, [rows]), title="Cost of a student")
