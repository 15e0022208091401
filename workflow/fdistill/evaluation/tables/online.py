"""The table of online and offline samples of the teacher (Wen et al. 2023, Table 4): scores, and the time of a step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.frame import COLUMNS, Section, results_frame
from fdistill.evaluation.tables.marks import noted_limits
from fdistill.evaluation.tables.numbers import FORM
from fdistill.evaluation.tables.results import LEADERS, pivot
from fdistill.evaluation.tables.table import Table
from fdistill.evaluation.times import ONLINE_FILE
from fdistill.runtime.errors import UserError

TITLES = {"online": "Online", "offline": "Offline"}  # in the order of the paper's rows
BUSY = 0.1  # CPUs used by other programs; less is the system itself
CAPTION = (
    "Online: training samples sequences from the teacher anew in every epoch. Offline: the teacher's samples are made "
    "once, before training, for all methods and seeds; the time for that is in no step. Both sample from the student "
    "at every step. Step: the median time of a training step. Speed-up: the median ratio of the online to the offline "
    "step. "
)


def online_table(
    metrics: list[Path],
    comparisons: list[Path],
    times: dict[str, Path],
    tasks: dict[str, str],
    systems: dict[str, str],
    paper: PublishedTable | None = None,
) -> Table:
    """Build the table from the `metrics.json` files of both methods of each pair, and each task's times of their steps.

    `times` are files of `bench_online.py` by task; `systems` has titles. The other arguments are as in `main_table`.
    CSV has one record per task, system and metric, with times in ms. Raises UserError as `results_frame` does, for a
    task without times or with those of other methods than the first task, for a method that has two, and for times of
    other data or another teacher than the scores'.
    """
    if missing := [task for task in tasks if task not in times]:
        raise UserError(f"no times for task {', '.join(missing)}; give {missing[0]}=FILE")
    measured = {task: read_json(times[task], ONLINE_FILE) for task in tasks}
    methods = {
        task: [{kind: pair[kind] for kind in TITLES} for pair in file["pairs"]] for task, file in measured.items()
    }
    for task, found in methods.items():
        systems_of = [system for pair in found for system in pair.values()]
        if len(systems_of) > len(set(systems_of)):
            raise UserError(f"{times[task]}: has a method twice; delete it and run again")
    first, *others = tasks
    if different := [task for task in others if methods[task] != methods[first]]:
        raise UserError(
            f"{times[different[0]]}: has times of other methods than {times[first]}; measure the same for all tasks"
        )
    scored = {read_json(file, {"method": str})["method"] for file in metrics}
    if unscored := [system for pair in methods[first] for system in pair.values() if system not in scored]:
        raise UserError(f"{times[first]}: has times of '{unscored[0]}', which has no scores; give its metrics.json")
    layout = [
        Section(
            systems.get(pair["offline"], pair["offline"]), {pair[kind]: title for kind, title in TITLES.items()}, True
        )
        for pair in methods[first]
    ]
    scores = results_frame(metrics, [], comparisons, tasks, layout)
    for task, path in times.items():
        common_lineage(path, *(file for file in metrics if read_json(file)["task"] == task), seeds_differ=True)
    rows = [row for task, file in measured.items() for row in _time_rows(task, file)]
    frame = pd.concat([scores, pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)], ignore_index=True)
    frame = frame.sort_values("task", key=lambda column: column.map(list(tasks).index), kind="stable")
    caption = f"{CAPTION}{LEADERS} ↑/↓: the higher/lower, the better."
    notes = [f"{tasks[task]}: {_conditions(file)}" for task, file in measured.items()]
    notes += noted_limits(comparisons, tasks, scores)
    return pivot(frame, tasks, layout, paper, notes=notes, title="Online and offline samples", caption=caption)


def _time_rows(task: str, file: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the frame with the times of a task's steps."""
    step = {"metric": "step_ms", "title": "Step, ms", "direction": "lower"}
    speedup = {"metric": "speedup", "title": "Speed-up", "direction": "higher"}
    for pair in file["pairs"]:
        for kind in TITLES:
            place = {"task": task, "system": pair[kind]}
            yield place | step | {"value": 1000 * pair["seconds"][kind]["median"]}
            yield place | speedup | {"value": pair["speedup"]["median"] if kind == "offline" else 1.0}


def _conditions(file: dict[str, Any]) -> str:
    """How a task's steps were measured, and what else the machine did."""
    machine, used = file["machine"], [pair["other_cpus"] for pair in file["pairs"]]
    single = (f"{pair['speedup']['min']:{FORM}} to {pair['speedup']['max']:{FORM}}" for pair in file["pairs"])
    ranges = ", ".join(f"{pair['offline']} {text}" for pair, text in zip(file["pairs"], single, strict=True))
    others = "What else the machine did is not known."
    if None not in used:
        longer = ", which made both times longer" if max(used) >= BUSY else ""
        others = f"Other programs used {max(used):.1f} of the machine's {machine['cpus']} CPUs meanwhile{longer}."
    return (
        f"{file['steps']} steps of each method, in turn in one process on the same examples, on {machine['name']}; "
        f"speed-up of single steps: {ranges}. {others}"
    )
