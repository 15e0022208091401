"""The tables of results: metrics (Wen et al. 2023, Table 2) and risks (Table 3)."""

from pathlib import Path
from typing import Any

from fdistill.evaluation.aggregate import METRICS_FILE, RISKS_FILE
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables import comparison
from fdistill.evaluation.tables.records import (
    DECIMALS,
    Section,
    as_record,
    check_signatures,
    compare_with_teacher,
    mark,
    read_results,
    teacher_dist,
)
from fdistill.evaluation.tables.render import Cell, Column, Table

ARROWS = {"higher": "↑", "lower": "↓"}
RISKS = {
    "r_llh_token": "R_llh/token",
    "r_cvg_token": "R_cvg/token",
    "r_llh_sequence": "R_llh/seq.",
    "r_cvg_sequence": "R_cvg/seq.",
}
# Below the teacher's own value, a student's samples are likelier than the teacher's: it has collapsed to a few modes.
# R_cvg is measured on the teacher's samples, which the teacher itself predicts best.
COLLAPSES = ("r_llh_token", "r_llh_sequence")
COLLAPSED = " †"
NO_BIGRAMS = "no sample of the teacher has two tokens"
FORM = f".{DECIMALS}f"
NONE = "–"  # the system was not run on the task, or does not have the value


def main_table(
    paths: list[Path], tasks: dict[str, str], layout: list[Section], paper: PublishedTable | None = None
) -> Table:
    """Build the main table from the `metrics.json` files of all tasks and systems.

    `tasks` maps keys to titles in the order of columns, `layout` has the rows, and `paper` is the published table to
    compare with. CSV has one record per task, system and metric. Raises UserError for a file of another task or system,
    and for a metric that was computed in different ways.
    """
    records = [
        as_record(file, metric, entry["title"], entry["direction"], entry)
        | {"signature": entry["signature"]}
        | {f"missing_{key}": (entry["missing"] or {}).get(key) for key in ("reason", "fix")}
        for file in read_results(paths, tasks, layout, METRICS_FILE)
        for metric, entry in file["metrics"].items()
    ]
    check_signatures(records)
    mark(records, layout, ("best", "second"))
    if paper:
        comparison.add_published(records, paper)
    notes = _footnotes(records)
    return Table(
        title="Main results",
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
    """Build the table of risks and teacher diversity from the aggregated `risk.json` files.

    Arguments as in `main_table`. CSV has one record per task, system and risk, then one `teacher_dist` per task, for
    the teacher. Raises UserError for a file of another task or system, and when systems have different teacher samples.
    """
    files = read_results(paths, tasks, layout, RISKS_FILE)
    records = [
        as_record(file, risk, title, "lower", file["risks"][risk]) for file in files for risk, title in RISKS.items()
    ]
    compare_with_teacher(records, COLLAPSES)
    mark(records, layout, ("best",))
    diversity = [
        {"task": task, "system": "teacher", "metric": "teacher_dist", "mean": teacher_dist(files, task)}
        for task in dict.fromkeys(file["task"] for file in files)
    ]
    if paper:
        comparison.add_published([*records, *diversity], paper)
    shown = [Cell("n/a [1]" if d["mean"] is None else format(d["mean"], FORM), span=len(RISKS)) for d in diversity]
    no_bigrams = f"[1] TeacherDist: {NO_BIGRAMS}. Remedy: train the teacher longer, or look at its outputs."
    below = comparison.values(diversity, FORM, span=len(RISKS))
    return Table(
        title="Risks",
        caption="Likelihood risk R_llh and coverage risk R_cvg in nats, per token and per sequence; in brackets, the "
        "difference to the teacher's own value. The closer to the teacher's from above, the better; the best student's "
        f"in bold.{COLLAPSED}: below the teacher's own R_llh. Such a student's samples are likelier than the teacher's "
        "own, the sign of mode collapse and not of quality. TeacherDist: distinct bi-grams over all bi-grams of five "
        "teacher samples per input, in percent.",
        columns=_columns(records, tasks),
        sections=[
            [
                [Cell("TeacherDist"), Cell(""), *shown],
                *([Cell(""), Cell(title, "aside"), *row] for title, row in below),
            ],
            *_rows(records, layout, {}),
        ],
        records=[*records, *diversity],
        notes=([no_bigrams] if any(d["mean"] is None for d in diversity) else [])
        + _comparison_notes([*records, *diversity], tasks, paper),
    )


def _footnotes(records: list[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    """The footnotes: a number for each (metric, reason, remedy) of a missing value."""
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
    by_place = {(record["task"], record["metric"], record["system"]): record for record in records}
    rows: list[list[list[Cell]]] = []
    for section in layout:
        rows.append([])
        for i, (system, title) in enumerate(section.systems.items()):
            names = [Cell(section.label if i == 0 else ""), Cell(title if title != section.label else "")]
            places = [by_place.get((*column, system)) for column in columns]
            rows[-1].append(names + [_value(place, notes) for place in places])
            rows[-1] += [[Cell(""), Cell(below, "aside"), *row] for below, row in comparison.values(places, FORM)]
    return rows


def _value(record: dict[str, Any] | None, notes: dict[tuple[str, str, str], int]) -> Cell:
    if record is None:
        return Cell(NONE)
    if record["mean"] is None:
        return Cell(f"n/a [{notes[_note(record)]}]" if record.get("missing_reason") else NONE)
    deviation = "" if record["std"] is None else f" ± {record['std']:{FORM}}"
    difference = record.get("above_teacher")
    distance = "" if difference is None else f" ({comparison.signed(difference, FORM)})"
    collapsed = COLLAPSED if record.get("below_teacher") else ""
    return Cell(f"{record['mean']:{FORM}}{deviation}{distance}{collapsed}", record["mark"])


def _comparison_notes(records: list[dict[str, Any]], tasks: dict[str, str], paper: PublishedTable | None) -> list[str]:
    if paper is None:
        return []
    return comparison.notes({tasks[t]: [r for r in records if r["task"] == t] for t in tasks}, paper)
