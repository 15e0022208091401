"""What the report says of one task."""

import base64
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fdistill.artifacts.files import note_input, read_json
from fdistill.artifacts.records import check
from fdistill.evaluation.aggregate import main_metric, read_aggregated
from fdistill.evaluation.comparisons import COMPARISONS_FILE, TEACHER
from fdistill.evaluation.costs import Cost, student_costs
from fdistill.evaluation.report.inputs import Files, Study
from fdistill.evaluation.report.standings import Standing, standings, untrained_teacher
from fdistill.evaluation.report.tables import cost_table, matrix, standings_table
from fdistill.evaluation.tables.table import Table


@dataclass(frozen=True)
class TaskResults:
    """What the report says of one task."""

    title: str
    n_inputs: int
    seeds: int
    standings: dict[str, Standing]
    main: Standing | None
    summary: Table
    untrained: list[str]
    matrices: list[Table]  # the main metric's first
    costs: dict[str, Cost]
    cost_table: Table
    without_costs: list[str]
    figures: dict[str, str]

    @property
    def collapsed(self) -> dict[str, list[str]]:
        """Return the students that have collapsed, by the title of the risk."""
        return {standing.title: standing.collapsed for standing in self.standings.values() if standing.collapsed}

    @property
    def missing(self) -> dict[tuple[str, str, str], list[str]]:
        """Return the students without a value, by the metric's title, the reason and the remedy."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for standing in self.standings.values():
            for name, why in standing.missing.items():
                found.setdefault((standing.title, why["reason"], why["fix"]), []).append(name)
        return found


def task_results(task: str, files: Files, study: Study, frame: pd.DataFrame) -> TaskResults:
    """Return what the report says of a task, from its files and the frame of all results.

    Raises UserError as the files' readers do.
    """
    systems = study.systems
    compared = read_json(files.comparisons[task], COMPARISONS_FILE)
    trivial = [name for section in study.layout for name in section.systems if not section.ranked and name != TEACHER]
    titles = {name: systems[name] for name in (*compared["students"], TEACHER) if name in systems}
    found = standings(compared, frame)
    key = main_metric([read_aggregated(path, "metrics") for (of, _), path in files.metrics.items() if of == task])
    main = found.get(key)
    costs = student_costs([(system, path) for of, system, path in files.logs if of == task])
    means = frame[(frame["task"] == task) & frame["seed"].isna() & frame["system"].isin(compared["students"])]
    return TaskResults(
        title=study.tasks[task],
        n_inputs=compared["n_inputs"],
        seeds=int(means["seeds"].max()),
        standings=found,
        main=main,
        summary=standings_table(list(found.values()), systems),
        untrained=untrained_teacher(main, trivial) if main else [],
        matrices=[matrix(found[of], compared["metrics"][of], titles) for of in sorted(found, key=lambda of: of != key)],
        costs=costs,
        cost_table=cost_table(main, costs, {name: systems[name] for name in compared["students"]}),
        without_costs=[name for name in compared["students"] if name not in costs],
        figures={kind: _embedded(path) for (of, kind), path in files.figures.items() if of == task},
    )


def _embedded(path: Path) -> str:
    """The address of a picture that contains it. As a picture, an SVG file runs no script and loads nothing."""
    check(path, note_input(path))
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"
