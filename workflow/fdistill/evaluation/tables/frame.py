"""All results as one data frame, of which every table of results is a pivot: `results/tables/results.parquet`."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.aggregate import RISK_TITLES, TEACHER_DIST, read_aggregated
from fdistill.evaluation.comparisons import COMPARISONS_FILE, TEACHER
from fdistill.evaluation.tables.marks import PLACE, add_marks
from fdistill.runtime.errors import UserError

NO_BIGRAMS = {
    "reason": "no sample of the teacher has two tokens",
    "fix": "train the teacher longer, or look at its outputs",
}
# The columns of the frame. A row with a `seed` is one run. A row without is the mean of `seeds` runs, with their sample
# standard deviation `std`, and is what the tables show; only such rows have the columns from `low` to `best`.
COLUMNS = {
    **dict.fromkeys(("task", "system", "metric", "title", "direction"), "str"),
    **dict.fromkeys(("seed", "seeds"), "Int64"),
    **dict.fromkeys(("value", "std"), "float64"),
    **dict.fromkeys(("low", "high"), "float64"),  # the 95 % interval of the value
    "above_teacher": "float64",  # a student's risk less the teacher's own
    # Of students: see `fdistill.evaluation.comparisons.compare`.
    **dict.fromkeys(("collapsed", "leads", "best"), "boolean"),
    **dict.fromkeys(("signature", "missing_reason", "missing_fix"), "str"),
}


@dataclass(frozen=True)
class Section:
    """Rows between two rules: systems with their titles; only `ranked` ones are compared with each other."""

    label: str
    systems: dict[str, str]
    ranked: bool = False


def sections(teacher: dict[str, str], trivial: dict[str, str], students: dict[str, str]) -> list[Section]:
    """Return the sections in the paper's order: teacher, trivial systems, and students, which are ranked.

    Raises UserError for a system in two of them.
    """
    all_sections = [
        Section("Teacher", teacher),
        Section("Trivial", trivial),
        Section("Student", students, ranked=True),
    ]
    for one, other in combinations(all_sections, 2):
        for system in one.systems:
            if system in other.systems:
                labels = f"{one.label.lower()} and {other.label.lower()}"
                raise UserError(f"'{system}' is given as {labels}; a system has one row: leave one of them out")
    return [section for section in all_sections if section.systems]


def results_frame(
    metrics: list[Path], risks: list[Path], comparisons: list[Path], tasks: dict[str, str], layout: list[Section]
) -> pd.DataFrame:
    """Return the frame, with the columns `COLUMNS`, of aggregated `metrics.json` and `risk.json` files.

    `comparisons` has a file for each task, which says of its students who leads. Rows have the order of tasks and of
    the layout's systems; all metrics are before the risks. Raises UserError for a file of a task or system that is not
    there, for a second file of the same, for a system without a file, for files that belong to different data or
    teachers, for a metric that was computed in different ways, for risks from different teacher samples, and for
    comparisons of other students or seeds.
    """
    students = [system for section in layout if section.ranked for system in section.systems]
    of_metrics, of_risks = _read(metrics, tasks, layout, "metrics"), _read(risks, tasks, layout, "risks")
    compared = {path: read_json(path, COMPARISONS_FILE) for path in comparisons}
    for task in tasks:
        paths = [file["path"] for file in (*of_metrics, *of_risks) if file["task"] == task]
        paths += [path for path, file in compared.items() if file["task"] == task]
        common_lineage(*paths, seeds_differ=True)
    rows = [
        row for file in of_metrics for metric, entry in file["metrics"].items() for row in _rows(file, metric, entry)
    ]
    for file in of_risks:
        for risk, title in RISK_TITLES.items():
            rows += _rows(file, risk, {"title": title, "direction": "lower"} | file["risks"][risk])
        entry = file["risks"][TEACHER_DIST]
        if entry.get("missing"):  # the task's teacher, from outside, has no outputs for the test split and no row
            continue
        missing = NO_BIGRAMS if entry["mean"] is None else None
        rows += _rows(file, TEACHER_DIST, {"title": "TeacherDist", "missing": missing} | entry)
    try:
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    except UnicodeEncodeError as error:
        character = f"U+{ord(error.object[error.start]):04X}"
        raise UserError(
            f"{[*metrics, *risks][0].parent}: a text of the results contains {character}, half of a pair, which UTF-8 "
            "cannot encode; give files that the workflow wrote"
        ) from None
    _check_signatures(frame)
    _check_rows(layout, [*of_metrics, *of_risks])
    return add_marks(_above_teacher(_of_teacher(frame)), list(compared.values()), students).astype(COLUMNS)


def _read(paths: list[Path], tasks: dict[str, str], layout: list[Section], kind: str) -> list[dict[str, Any]]:
    """The contents of the files, in the order of tasks and rows."""
    order = {(task, system): None for task in tasks for section in layout for system in section.systems}
    files: dict[tuple[str, str], dict] = {}
    for path in paths:
        file = read_aggregated(path, kind)
        place = (file["task"], file["method"])
        if place not in order:
            raise UserError(
                f"{path}: task '{place[0]}', method '{place[1]}' has no place in the table; "
                f"its tasks: {', '.join(tasks)}; its rows: {', '.join(dict.fromkeys(s for _, s in order))}; "
                "give another file"
            )
        if place in files:
            raise UserError(f"{path}: a second file for task '{place[0]}', method '{place[1]}'; give one")
        files[place] = file | {"path": path}
    return [files[place] for place in order if place in files]


def _check_rows(layout: list[Section], files: list[dict[str, Any]]) -> None:
    """Raise UserError for a row without a file, whose name may be misspelt."""
    known = list(dict.fromkeys(file["method"] for file in files))
    for section in layout:
        for system in section.systems:
            if system not in known:
                raise UserError(
                    f"'{system}' has a row in the table, but the files are of {', '.join(known) or 'no system'}; "
                    "give a file of it, or leave it out"
                )


def _rows(file: dict[str, Any], metric: str, entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of an entry of an aggregated file: one of each seed, and their mean's, which may have an interval."""
    missing = entry.get("missing") or {}
    common = {"task": file["task"], "system": file["method"], "metric": metric}
    common |= {key: entry.get(key) for key in ("title", "direction", "signature")}
    reason = {f"missing_{key}": missing.get(key) for key in ("reason", "fix")}
    for seed, value in entry["seeds"].items():
        yield common | {"seed": int(seed), "seeds": 1, "value": value} | (reason if value is None else {})
    low, high = entry["interval"] or (None, None)
    spread = {"std": entry["std"], "low": low, "high": high}
    yield common | reason | {"value": entry["mean"], "seeds": len(entry["seeds"])} | spread


def _check_signatures(frame: pd.DataFrame) -> None:
    """Raise UserError when a metric of a task has different signatures."""
    for one, other in _disagreements(frame, PLACE, "signature"):
        raise UserError(
            f"{one.task}: metric '{one.metric}' was computed in different ways for '{one.system}' ({one.signature}) "
            f"and '{other.system}' ({other.signature}); delete the older one's score.json and metrics.json "
            "and run again"
        )


def _of_teacher(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with TeacherDist once per task, as the teacher's.

    All systems of a task measure the same teacher's samples; raises UserError when they do not agree.
    """
    measured = frame["metric"] == TEACHER_DIST
    for one, other in _disagreements(frame[measured].dropna(subset="seed"), ["task", "seed"], "value"):
        raise UserError(
            f"{one.task}: the risks of '{one.system}' (seed {one.seed}) and '{other.system}' (seed {other.seed}) come "
            f"from different teacher samples (TeacherDist {one.value:.4f} and {other.value:.4f}); "
            "delete the older one and run again"
        )
    firsts = frame[measured].groupby("task")["system"].first()
    frame = frame[~measured | (frame["system"] == frame["task"].map(firsts))]
    return frame.assign(system=frame["system"].mask(measured, TEACHER)).reset_index(drop=True)


def _disagreements(frame: pd.DataFrame, by: list[str], column: str) -> Iterator[tuple[Any, Any]]:
    """The first row of each group, and the first row that differs from it in `column`, where there is one."""
    for _, group in frame.dropna(subset=column).groupby(by, sort=False):
        one, *others = group.drop_duplicates(column).itertuples()
        if others:
            yield one, others[0]


def _above_teacher(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `above_teacher`: a student's mean risk less that of the teacher for the same task and risk."""
    means = frame["seed"].isna() & frame["metric"].isin(RISK_TITLES)
    teachers = frame[means & (frame["system"] == TEACHER)].set_index(PLACE)["value"]
    theirs = teachers.reindex(pd.MultiIndex.from_frame(frame[PLACE])).set_axis(frame.index)
    return frame.assign(above_teacher=(frame["value"] - theirs).where(means & (frame["system"] != TEACHER)))
