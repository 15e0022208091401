"""The tables of results: metrics (Wen et al. 2023, Table 2) and risks (Table 3)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fdistill.evaluation.metrics import METRICS
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables import comparison
from fdistill.evaluation.tables.frame import Section, results_frame
from fdistill.evaluation.tables.marks import noted_limits
from fdistill.evaluation.tables.numbers import FORM, NONE, signed
from fdistill.evaluation.tables.table import Table, cells_of

ARROWS = {"higher": " ↑", "lower": " ↓"}
COLLAPSED = " †"
LEADERS = (
    "Bold: better than every other student that has not collapsed, by a paired test (p < 0.05, corrected by Holm). "
    "Where no student is, those that are not significantly worse than the best are underlined."
)
# Nine columns with both bounds do not fit on a page; the CSV file has the bounds.
MARGIN = "±: half the width of the 95 % interval."


def main_table(
    paths: list[Path],
    comparisons: list[Path],
    tasks: dict[str, str],
    layout: list[Section],
    paper: PublishedTable | None = None,
) -> Table:
    """Build the main table from the `metrics.json` files of all tasks and systems, and each task's comparisons.

    `tasks` maps keys to titles in the order of columns, `layout` has the rows, and `paper` is the published table to
    compare with. CSV has one record per task, system and metric. Raises UserError as `results_frame` does.
    """
    frame = results_frame(paths, [], comparisons, tasks, layout)
    metrics = [METRICS[key] for key in frame["metric"].unique() if key in METRICS]
    meanings = [f"{metric.title}: {metric.note}." for metric in metrics if metric.note]
    return pivot(
        frame,
        tasks,
        layout,
        paper,
        notes=[*meanings, *noted_limits(comparisons, tasks, frame)],
        title="Main results",
        caption=f"Main results on the test sets. {LEADERS} ↑/↓: the higher/lower, the better.",
    )


def risk_table(
    paths: list[Path],
    comparisons: list[Path],
    tasks: dict[str, str],
    layout: list[Section],
    paper: PublishedTable | None = None,
) -> Table:
    """Build the table of risks and teacher diversity from the aggregated `risk.json` files.

    Arguments as in `main_table`. CSV has one record per task, system and risk, and one `teacher_dist` per task, for
    the teacher. Raises UserError as `results_frame` does.
    """
    frame = results_frame([], paths, comparisons, tasks, layout)
    return pivot(
        frame,
        tasks,
        layout,
        paper,
        notes=noted_limits(comparisons, tasks, frame),
        title="Risks",
        caption="Likelihood risk R_llh and coverage risk R_cvg in nats, per token and per sequence; in brackets, the "
        "difference to the teacher's own value. The lower, the better, among students that have not collapsed. "
        f"{LEADERS}{COLLAPSED}: significantly below the teacher's own R_llh. Such a student's samples are likelier "
        "than the teacher's own, the sign of mode collapse and not of quality. TeacherDist: distinct bi-grams over all "
        "bi-grams of the teacher's samples per input (risk.teacher_samples, or all outputs of a file), in percent.",
    )


def pivot(
    frame: pd.DataFrame,
    tasks: dict[str, str],
    layout: list[Section],
    paper: PublishedTable | None,
    *,
    title: str,
    caption: str,
    notes: Sequence[str] = (),
) -> Table:
    """Return the table of the frame's means: a row per system, a column per task and metric, the paper's rows below.

    The frame has the columns of `frame.COLUMNS`; its other ones become columns of the CSV file. `notes` stand below it.
    """
    means = frame[frame["seed"].isna()].drop(columns="seed")
    means = comparison.add_published(means, paper) if paper else means
    columns = pd.MultiIndex.from_frame(means[["task", "metric"]].drop_duplicates())
    systems = [system for section in layout for system in section.systems]

    def wide(values: list[str], empty: str) -> pd.DataFrame:
        cells = means.assign(values=values).pivot(index="system", columns=["task", "metric"], values="values")
        return cells.reindex(index=systems, columns=columns).fillna(empty)

    margins = (means["high"] - means["low"]) / 2
    footnotes = footnotes_of(means)
    texts = wide(cell_texts(means, margins, footnotes), NONE)
    marks = means["leads"].map({True: "tied"}).mask(means["best"].fillna(False), "best")
    marked = wide(marks.fillna(""), "")
    below = {}
    if paper:
        for key, name in comparison.ROWS.items():
            below[name] = wide([comparison.shown(key, number, FORM) for number in means[key]], "")
    rows, row_marks = [], []
    for section in layout:
        rows.append([])
        for system, system_title in section.systems.items():
            names = ["" if rows[-1] else section.label, "" if system_title == section.label else system_title]
            rows[-1].append([*names, *texts.loc[system]])
            row_marks.append(["", "", *marked.loc[system]])
            for name, shown in below.items():
                if below[comparison.ROWS["published"]].loc[system].any():
                    rows[-1].append(["", name, *shown.loc[system]])
                    row_marks.append(["aside" if text else "" for text in rows[-1][-1]])
    titles = means.drop_duplicates("metric").set_index("metric")
    headings = titles["title"] + titles["direction"].map(ARROWS).fillna("")
    shown_columns = [("", ""), ("", "Model"), *((task, headings[metric]) for task, metric in columns)]
    cells = cells_of(pd.MultiIndex.from_tuples(shown_columns), rows)
    notes = [*footnote_texts(footnotes), *notes]
    if paper:
        found = {tasks[task]: bool(means.loc[means["task"] == task, "published"].notna().any()) for task in tasks}
        notes += comparison.notes(found, paper)
    return Table(
        title=title,
        caption=f"{caption} {MARGIN}",
        cells=cells,
        names=2,
        records=means.rename(columns={"value": "mean"}),
        notes=notes,
        groups=tasks,
        marks=pd.DataFrame(row_marks, cells.index, cells.columns),
    )


def cell_texts(means: pd.DataFrame, margins: pd.Series, footnotes: dict[tuple[str, str, str], int]) -> list[str]:
    """Return the text of each mean: the number and what belongs to it, or why there is none.

    `margins` are half the widths of the intervals, `footnotes` those of `footnotes_of`.
    """
    texts = []
    for row, margin in zip(means.itertuples(), margins, strict=True):
        if pd.isna(row.value):
            note = footnotes.get((row.title, row.missing_reason, row.missing_fix))
            texts.append(f"n/a [{note}]" if note else NONE)
            continue
        spread = "" if pd.isna(margin) else f" ± {margin:{FORM}}"
        distance = "" if pd.isna(row.above_teacher) else f" ({signed(row.above_teacher, FORM)})"
        collapsed = COLLAPSED if not pd.isna(row.collapsed) and row.collapsed else ""
        texts.append(f"{row.value:{FORM}}{spread}{distance}{collapsed}")
    return texts


def footnotes_of(means: pd.DataFrame) -> dict[tuple[str, str, str], int]:
    """Return the footnotes of means: a number for each (metric, reason, remedy) of a missing value."""
    missing = means.dropna(subset="missing_reason")[["title", "missing_reason", "missing_fix"]].drop_duplicates()
    return {tuple(note): number for number, note in enumerate(missing.itertuples(index=False), start=1)}


def footnote_texts(footnotes: dict[tuple[str, str, str], int]) -> list[str]:
    """Return the notes that `footnotes_of` has numbered."""
    return [f"[{n}] {title}: {reason}. Remedy: {fix}." for (title, reason, fix), n in footnotes.items()]
