"""What files of comparisons say in the tables: which students are marked, and where that cannot be relied on."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.evaluation.comparisons import COMPARISONS_FILE
from fdistill.runtime.errors import UserError

PLACE = ["task", "metric"]


def add_marks(frame: pd.DataFrame, comparisons: list[dict[str, Any]], students: list[str]) -> pd.DataFrame:
    """Return the frame of results with `collapsed`, `leads` and `best` of the means of `students`.

    Raises UserError when the files are not comparisons of exactly the students, seeds and means that the frame has.
    """
    entries = {
        (file["task"], metric): entry | {"systems": [name for name in file["students"] if name not in entry["missing"]]}
        for file in comparisons
        for metric, entry in file["metrics"].items()
    }
    is_student = frame["seed"].isna() & frame["system"].isin(students) & frame["value"].notna()
    _check_compared(frame[is_student], frame.dropna(subset="seed"), entries)
    marks: dict[str, list] = {"collapsed": [], "leads": [], "best": []}
    for row, student in zip(frame.itertuples(), is_student, strict=True):
        entry = entries.get((row.task, row.metric))
        marks["collapsed"].append(row.system in entry["collapsed"] if student else pd.NA)
        marks["leads"].append(row.system in entry["leaders"] if student else pd.NA)
        marks["best"].append(row.system == entry["best"] if student else pd.NA)
    return frame.assign(**marks)


def _check_compared(means: pd.DataFrame, runs: pd.DataFrame, entries: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Raise UserError unless the students with `means` are those that were compared, in the seeds of their `runs`."""
    seeds = {place: [*map(str, of_system["seed"])] for place, of_system in runs.groupby([*PLACE, "system"])}
    for (task, metric), group in means.groupby(PLACE, sort=False):
        shown = list(group["system"])
        entry = entries.get((task, metric), {"systems": [], "pairs": []})
        for system in shown:
            if system not in entry["systems"]:
                raise UserError(
                    f"'{system}' was not compared with the other students of '{task}' in '{metric}'; give the task's "
                    "file of comparisons of all students (compare.py makes it)"
                )
            if (own := seeds.get((task, metric, system), [])) != entry["seeds"]:
                raise UserError(
                    f"{task}/{system}: has the seeds {', '.join(own)} in '{metric}', but the task's comparisons are of "
                    f"the seeds {', '.join(entry['seeds'])}; make them from these files (compare.py)"
                )
        values = dict(zip(group["system"], group["value"], strict=True))
        for pair in entry["pairs"]:
            a, b = values.get(pair["a"]), values.get(pair["b"])
            if a is not None and b is not None and not math.isclose(pair["difference"], a - b, abs_tol=1e-6):
                raise UserError(
                    f"{task}: the comparisons say that '{pair['a']}' and '{pair['b']}' are {pair['difference']:.4f} "
                    f"apart in '{metric}', but their means here are {a - b:.4f} apart; make them from these "
                    "files (compare.py)"
                )
        if others := [system for system in entry["systems"] if system not in shown]:
            raise UserError(
                f"{task}: '{others[0]}' was compared with these students in '{metric}', but has no number here, so "
                "that the marks would be wrong; add it to --students with its file, or compare these alone (compare.py)"
            )


def noted_limits(comparisons: list[Path], tasks: dict[str, str], frame: pd.DataFrame) -> list[str]:
    """Return what the comparisons of `tasks`, titles by task, note of the frame's metrics; each note once per task."""
    titles = dict(zip(frame["metric"], frame["title"], strict=True))
    noted: dict[tuple[str, str], list[str]] = {}
    for file in (read_json(path, COMPARISONS_FILE) for path in comparisons):
        for metric, entry in file["metrics"].items():
            for note in entry["notes"] if file["task"] in tasks and metric in titles else ():
                noted.setdefault((tasks[file["task"]], note), []).append(titles[metric])
    return [f"{task}, {', '.join(metrics)}: {note}" for (task, note), metrics in noted.items()]
