"""The tables of results: metrics (Wen et al. 2023, Table 2) and risks (their Table 3)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fdistill.errors import UserError
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables import comparison
from fdistill.evaluation.tables.render import Cell, Column, Table
from fdistill.files import read_json

ARROWS = {"higher": "↑", "lower": "↓"}
RISKS = {
    "r_llh_token": "R_llh/token",
    "r_cvg_token": "R_cvg/token",
    "r_llh_sequence": "R_llh/seq.",
    "r_cvg_sequence": "R_cvg/seq.",
}
FORM = ".2f"  # of every number, as the paper
NONE = "–"  # the system was not run on the task, or has no such value


@dataclass(frozen=True)
class Section:
    """Rows between two rules: systems by key with their titles; only `ranked` ones compete for the marks."""

    label: str
    systems: dict[str, str]
    ranked: bool = False


def sections(teacher: dict[str, str], trivial: dict[str, str], students: dict[str, str]) -> list[Section]:
    """The paper's order: the teacher, systems that need no model, then the students, which are ranked."""
    every = [
        Section("Teacher", teacher),
        Section("Trivial", trivial),
        Section("Student", students, ranked=True),
    ]
    return [section for section in every if section.systems]


def main_table(
    paths: list[Path], tasks: dict[str, str], layout: list[Section], paper: PublishedTable | None = None
) -> Table:
    """The main table, from the `metrics.json` files of all tasks and systems.

    `tasks` maps keys to titles, in column order; `paper` is the published table to compare with. CSV: one record per
    task, system and metric.
    Raises UserError for a file of another task or system, and for metrics that were not computed alike.
    """
    records = [
        _record(file, metric, found["title"], found["direction"], found)
        | {"signature": found["signature"]}
        | {f"missing_{key}": (found["missing"] or {}).get(key) for key in ("reason", "fix")}
        for file in _read(paths, tasks, layout)
        for metric, found in file["metrics"].items()
    ]
    _check_signatures(records)
    _mark(records, layout, ("best", "second"))
    if paper:
        comparison.add_published(records, paper)
    notes = _footnotes(records)
    return Table(
        caption="Main results on the test sets. Best student in bold, second best underlined; ↑/↓: the "
        "higher/lower, the better. With several seeds: mean ± sample standard deviation.",
        columns=_columns(records, tasks),
        sections=_rows(records, layout, notes),
        records=records,
        notes=[f"[{n}] {title}: {reason}. Remedy: {fix}." for (title, reason, fix), n in notes.items()]
        + _comparison_notes(records, tasks, paper),
    )


def risk_table(
    paths: list[Path], tasks: dict[str, str], layout: list[Section], paper: PublishedTable | None = None
) -> Table:
    """The risks and the teacher's diversity, from the aggregated `risk.json` files.

    Arguments as in `main_table`. CSV: one record per task, system and risk, then one `teacher_dist` per task, which is
    the teacher's.
    Raises UserError for a file of another task or system, and when systems disagree on the teacher's samples.
    """
    files = _read(paths, tasks, layout)
    records = [
        _record(file, risk, title, "lower", file["risks"][risk]) for file in files for risk, title in RISKS.items()
    ]
    _mark(records, layout, ("best",))
    diversity = [
        {"task": task, "system": "teacher", "metric": "teacher_dist", "mean": _teacher_dist(files, task)}
        for task in dict.fromkeys(file["task"] for file in files)
    ]
    if paper:
        comparison.add_published([*records, *diversity], paper)
    shown = [Cell(NONE if d["mean"] is None else format(d["mean"], FORM), span=len(RISKS)) for d in diversity]
    below = comparison.values(diversity, FORM, span=len(RISKS))
    return Table(
        caption="Likelihood risk R_llh and coverage risk R_cvg in nats, per token and per sequence: the "
        "lower, the better; the lowest student's in bold. TeacherDist: distinct bi-grams over all bi-grams "
        "of five teacher samples per input, in percent.",
        columns=_columns(records, tasks),
        sections=[
            [
                [Cell("TeacherDist"), Cell(""), *shown],
                *([Cell(""), Cell(title, "aside"), *row] for title, row in below),
            ],
            *_rows(records, layout, {}),
        ],
        records=[*records, *diversity],
        notes=_comparison_notes([*records, *diversity], tasks, paper),
    )


def marks(values: dict[str, float], better: Literal["higher", "lower"], places: tuple[str, ...]) -> dict[str, str]:
    """Which of `values` come first and second: a word of `places` or "" for each.

    Values are compared as they are shown, with two decimals: numbers that look equal share their place, and
    the next number that looks different has the next one.
    """
    shown = {key: round(value, 2) for key, value in values.items()}
    ranking = sorted(set(shown.values()), reverse=better == "higher")
    place = dict(zip(ranking, places, strict=False))
    return {key: place.get(value, "") for key, value in shown.items()}


def _read(paths: list[Path], tasks: dict[str, str], layout: list[Section]) -> list[dict[str, Any]]:
    """The files in the order of tasks and rows; each must have its place in the table."""
    order = {(task, system): None for task in tasks for section in layout for system in section.systems}
    files: dict[tuple[str, str], dict] = {}
    for path in paths:
        file = read_json(path)
        place = (file.get("task"), file.get("method"))
        if place not in order:
            raise UserError(
                f"{path}: task '{place[0]}', method '{place[1]}' has no place in the table; "
                f"its tasks: {', '.join(tasks)}; its rows: {', '.join(dict.fromkeys(s for _, s in order))}"
            )
        if place in files:
            raise UserError(f"{path}: a second file for task '{place[0]}', method '{place[1]}'; give one")
        files[place] = file
    return [files[place] for place in order if place in files]


def _record(file: dict, metric: str, title: str, direction: str, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": file["task"],
        "system": file["method"],
        "metric": metric,
        "title": title,
        "direction": direction,
        "mean": found["mean"],
        "std": found["std"],
        "seeds": len(found["seeds"]),
    }


def _check_signatures(records: list[dict[str, Any]]) -> None:
    first: dict[tuple[str, str], dict] = {}
    for record in records:
        if record["signature"] is None:
            continue
        other = first.setdefault((record["task"], record["metric"]), record)
        if other["signature"] != record["signature"]:
            raise UserError(
                f"{record['task']}: metric '{record['metric']}' was not computed alike for "
                f"'{other['system']}' ({other['signature']}) and "
                f"'{record['system']}' ({record['signature']}); score the older one again"
            )


def _mark(records: list[dict[str, Any]], layout: list[Section], places: tuple[str, ...]) -> None:
    """Add the key `mark` to all records: a place among the ranked systems of the same task and metric."""
    ranked = {system for section in layout if section.ranked for system in section.systems}
    competing: dict[tuple[str, str], list[dict]] = {}
    for record in records:
        record["mark"] = ""
        if record["system"] in ranked and record["mean"] is not None:
            competing.setdefault((record["task"], record["metric"]), []).append(record)
    for group in competing.values():
        place = marks({record["system"]: record["mean"] for record in group}, group[0]["direction"], places)
        for record in group:
            record["mark"] = place[record["system"]]


def _footnotes(records: list[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    """A number for each (metric, reason, remedy) that leaves a place empty."""
    missing = dict.fromkeys(_note(record) for record in records if record["missing_reason"])
    return {note: number for number, note in enumerate(missing, start=1)}


def _note(record: dict[str, Any]) -> tuple[str, str, str]:
    return record["title"], record["missing_reason"], record["missing_fix"]


def _columns(records: list[dict[str, Any]], tasks: dict[str, str]) -> list[Column]:
    headed = {(r["task"], r["metric"]): f"{r['title']} {ARROWS[r['direction']]}" for r in records}
    values = [Column(title, group=tasks[task], number=True) for (task, _), title in headed.items()]
    return [Column(""), Column("Model"), *values]


def _rows(
    records: list[dict[str, Any]], layout: list[Section], notes: dict[tuple[str, str, str], int]
) -> list[list[list[Cell]]]:
    columns = dict.fromkeys((record["task"], record["metric"]) for record in records)
    found = {(record["task"], record["metric"], record["system"]): record for record in records}
    rows: list[list[list[Cell]]] = []
    for section in layout:
        rows.append([])
        for i, (system, title) in enumerate(section.systems.items()):
            names = [Cell(section.label if i == 0 else ""), Cell(title if title != section.label else "")]
            places = [found.get((*column, system)) for column in columns]
            rows[-1].append(names + [_value(place, notes) for place in places])
            rows[-1] += [[Cell(""), Cell(below, "aside"), *row] for below, row in comparison.values(places, FORM)]
    return rows


def _value(record: dict[str, Any] | None, notes: dict[tuple[str, str, str], int]) -> Cell:
    if record is None:
        return Cell(NONE)
    if record["mean"] is None:
        return Cell(f"n/a [{notes[_note(record)]}]" if record.get("missing_reason") else NONE)
    deviation = "" if record["std"] is None else f" ± {record['std']:{FORM}}"
    return Cell(f"{record['mean']:{FORM}}{deviation}", record["mark"])


def _comparison_notes(records: list[dict[str, Any]], tasks: dict[str, str], paper: PublishedTable | None) -> list[str]:
    if paper is None:
        return []
    return comparison.notes({tasks[t]: [r for r in records if r["task"] == t] for t in tasks}, paper)


def _teacher_dist(files: list[dict[str, Any]], task: str) -> float | None:
    """The mean over seeds; all systems of a task measure the same teacher's samples, so they must agree."""
    seeds: dict[str, tuple[float, str]] = {}
    for file in files:
        if file["task"] != task:
            continue
        for seed, value in file["risks"]["teacher_dist"]["seeds"].items():
            if value is None:
                continue
            known, system = seeds.setdefault(seed, (value, file["method"]))
            if known != value:
                raise UserError(
                    f"{task}: the risks of '{system}' and '{file['method']}' (seed {seed}) come from "
                    f"different teacher samples (TeacherDist {known:.4f} and {value:.4f}); "
                    "run the older one again"
                )
    return sum(value for value, _ in seeds.values()) / len(seeds) if seeds else None
