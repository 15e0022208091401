"""What each stage of a study adds to the one before, as Calderon et al. 2023 build up their method."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.artifacts.systems import of_size, split_size
from fdistill.evaluation.aggregate import RISK_TITLES, TEACHER_DIST
from fdistill.evaluation.comparisons import COMPARISONS_FILE, TEACHER, Difference, differences
from fdistill.evaluation.tables.frame import Section, results_frame
from fdistill.evaluation.tables.marks import noted_limits
from fdistill.evaluation.tables.numbers import FINE, FORM, MISSING, NONE, signed
from fdistill.evaluation.tables.results import ARROWS, COLLAPSED, MARGIN, cell_texts, footnote_texts, footnotes_of
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.runtime.errors import UserError

CAPTION = (
    "Stages of the study, each of which adds one thing to the one above it. Gain: how much better its mean is than "
    "that of the one above (in errors and risks: how much lower), with the interval of their paired difference; "
    "below 0 it is a loss. Bold: a gain or a loss that is significant (p < 0.05, corrected by Holm for all pairs of "
    "students in the metric, in R_llh for those with the teacher too). N/a: it or the one above has no value. Risks "
    "are in nats; in brackets, the difference "
    f"to the teacher's own value.{COLLAPSED}: R_llh significantly below the teacher's own, the sign of mode collapse. "
)


def stages_table(
    metrics: list[Path],
    risks: list[Path],
    comparisons: list[Path],
    tasks: dict[str, str],
    layout: list[Section],
    stages: Sequence[str],
) -> Table:
    """Build the table from the `metrics.json` and `risk.json` files of all systems, and each task's comparisons.

    `stages` are methods, in order; those of every size of the student have a section. The other arguments are as in
    `main_table`. CSV has one record per task, system and metric, with `gain`, its interval, and the corrected p-value
    `gain_p`. Raises UserError as `results_frame` does, and for a stage that is no student of the layout.
    """
    sections = _sections(layout, stages)
    before = {system: previous for section in sections for system, previous in section.items()}
    frame = results_frame(metrics, risks, comparisons, tasks, layout)
    frame = frame[(frame["metric"] != TEACHER_DIST) & frame["system"].isin(before)]
    means = frame[frame["seed"].isna()].drop(columns="seed").reset_index(drop=True)
    compared = {
        (file["task"], metric): differences(entry["pairs"])
        for file in (read_json(path, COMPARISONS_FILE) for path in comparisons)
        for metric, entry in file["metrics"].items()
    }
    gains: list[Difference | None] = []
    for row in means.itertuples():
        found = compared.get((row.task, row.metric), {}).get((row.system, before[row.system]))
        gains.append(found if found is None or row.direction == "higher" else -found)
    footnotes = footnotes_of(means)
    texts = cell_texts(means, (means["high"] - means["low"]) / 2, footnotes)
    cells, marks = _cells(means.assign(text=texts, gain=pd.Series(gains, dtype=object)), layout, sections)
    numbers = [(None,) * 4 if gain is None else (gain.value, gain.low, gain.high, gain.p) for gain in gains]
    records = means.rename(columns={"value": "mean"}).assign(before=means["system"].map(before))
    return Table(
        title="Stages",
        caption=CAPTION + MARGIN,
        cells=cells,
        records=records.join(pd.DataFrame(numbers, means.index, ["gain", "gain_low", "gain_high", "gain_p"])),
        notes=[*footnote_texts(footnotes), *noted_limits(comparisons, tasks, frame)],
        groups=tasks | {f"{task}/risks": f"{title}, risks" for task, title in tasks.items()},
        marks=marks,
    )


def _sections(layout: list[Section], stages: Sequence[str]) -> list[dict[str, str | None]]:
    """The rows: the teacher, and the stages in each size of the student, each with the system of the stage above it."""
    students = [name for section in layout if section.ranked for name in section.systems]
    sections: list[dict[str, str | None]] = [{TEACHER: None}] if any(TEACHER in of.systems for of in layout) else []
    for size in dict.fromkeys(split_size(name)[1] for name in students):
        systems = [of_size(stage, size) for stage in stages]
        if absent := [system for system in systems if system not in students]:
            raise UserError(
                f"--stages: '{absent[0]}' is no student of --students ({', '.join(students)}); add it there, or leave "
                "the stage out"
            )
        sections.append(dict(zip(systems, [None, *systems], strict=False)))
    return sections


def _cells(
    means: pd.DataFrame, layout: list[Section], sections: list[dict[str, str | None]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells and their marks: two columns for each metric of each task, the mean's `text` and the `gain`."""
    titles = {system: title for section in layout for system, title in section.systems.items()}
    headings = [("", "Stage")]
    rows = [[[titles[system]] for system in section] for section in sections]
    marks = [[""] for section in sections for _ in section]
    for (task, metric), of_metric in means.groupby(["task", "metric"], sort=False):
        is_risk, first = metric in RISK_TITLES, of_metric.iloc[0]
        group = f"{task}/risks" if is_risk else task
        headings += [(group, first["title"] + ARROWS[first["direction"]]), (group, f"{first['title']} gain")]
        found = {row.system: row for row in of_metric.itertuples()}
        systems = [pair for section in sections for pair in section.items()]
        for (system, previous), row, of_row in zip(systems, chain(*rows), marks, strict=True):
            if system not in found:
                row += [NONE, NONE]
                of_row += ["", ""]
                continue
            text, gain = found[system].text, found[system].gain
            without = NONE if previous is None else MISSING
            row += [text, _gain_text(gain, FINE if is_risk else FORM) if gain else without]
            of_row += ["", "best" if gain and gain.is_significant else ""]
    cells = cells_of(pd.MultiIndex.from_tuples(headings), rows)
    return cells, pd.DataFrame(marks, cells.index, cells.columns)


def _gain_text(gain: Difference, form: str) -> str:
    return f"{signed(gain.value, form)} ± {(gain.high - gain.low) / 2:{form}}"
