"""What the tables share: rows of numbers with intervals, the paper's rows below them, reasons of missing ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables import comparison
from fdistill.evaluation.tables.numbers import FORM, MISSING, NONE, plain, signed
from fdistill.evaluation.tables.table import Table, cells_of


@dataclass(frozen=True)
class Column:
    """A column of numbers; `comparable` ones have a difference from the paper's, others depend on the machine."""

    key: str
    title: str
    form: str = FORM
    signed: bool = False
    comparable: bool = True

    def text(self, number: float) -> str:
        """Return a number of the column."""
        return (signed if self.signed else plain)(number, self.form)


@dataclass(frozen=True)
class Number:
    """A value with its 95 % interval, or why there is none, and the paper's as printed; `more` is for the CSV file."""

    value: float | None = None
    interval: Sequence[float] | None = None
    missing: Mapping[str, str] | None = None  # reason and fix
    published: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_compared(self) -> bool:
        """Whether the paper has the number."""
        return self.published is not None


@dataclass(frozen=True)
class Row:
    """A row: its place (task, and size or system), the texts that name it, and its numbers by column."""

    place: dict[str, str]
    names: list[str]
    numbers: dict[str, Number]


def grid(
    sections: Mapping[str, list[Row]],
    tasks: Mapping[str, str],
    names: list[str],
    columns: list[Column],
    paper: PublishedTable | None,
    *,
    title: str,
    caption: str,
    notes: Sequence[str] = (),
) -> Table:
    """Return the table of a section per task; `tasks` has titles, and `names` heads the names of the rows.

    The first name is the task's, which is printed once. A column that a row has no number for is a dash. CSV has one
    record per row and number.
    """
    rows: list[list[list[str]]] = []
    marks: list[list[str]] = []
    records: list[dict[str, Any]] = []
    reasons: dict[tuple[str, str], int] = {}
    for section in sections.values():
        rows.append([])
        for row in section:
            first = "" if rows[-1] else row.names[0]
            texts = [_text(row.numbers.get(column.key), column, reasons) for column in columns]
            rows[-1].append([first, *row.names[1:], *texts])
            marks.append([""] * len(rows[-1][-1]))
            blank = [""] * (len(names) - 2)
            for name, below in _rows_below(row, columns).items():
                rows[-1].append(["", name, *blank, *below])
                marks.append(["aside" if text else "" for text in rows[-1][-1]])
            given = [column for column in columns if column.key in row.numbers]
            records += [row.place | _record(column, row.numbers[column.key], paper) for column in given]
    cells = cells_of([*names, *(column.title for column in columns)], rows)
    found = {
        tasks[task]: any(number.is_compared for row in section for number in row.numbers.values())
        for task, section in sections.items()
    }
    return Table(
        title=title,
        caption=caption,
        cells=cells,
        names=len(names),
        records=pd.DataFrame(records, dtype=object),
        notes=[
            *(f"[{number}] {reason}. Remedy: {fix}." for (reason, fix), number in reasons.items()),
            *notes,
            *(comparison.notes(found, paper) if paper else []),
        ],
        marks=pd.DataFrame(marks, cells.index, cells.columns),
    )


def _text(number: Number | None, column: Column, reasons: dict[tuple[str, str], int]) -> str:
    """The text of a number; that of a missing one refers to its reason, which is added to `reasons`."""
    if number is None or (number.value is None and number.missing is None):
        return NONE
    if number.value is None:
        reason = (number.missing["reason"], number.missing["fix"])
        return f"{MISSING} [{reasons.setdefault(reason, len(reasons) + 1)}]"
    spread = ""
    if number.interval is not None:
        low, high = number.interval
        spread = f" ± {(high - low) / 2:{column.form}}"
    return column.text(number.value) + spread


def _rows_below(row: Row, columns: list[Column]) -> dict[str, list[str]]:
    """The paper's numbers and the differences from them, by the name of their row; none without any."""
    if not any(number.is_compared for number in row.numbers.values()):
        return {}
    numbers = {column: row.numbers.get(column.key, Number()) for column in columns}
    differences = [_compared(column, number)["difference"] for column, number in numbers.items()]
    return {
        comparison.ROWS["published"]: [(number.published or "").replace("-", "−") for number in numbers.values()],
        comparison.ROWS["difference"]: [
            comparison.shown("difference", difference, column.form)
            for column, difference in zip(columns, differences, strict=True)
        ],
    }


def _compared(column: Column, number: Number) -> dict[str, float | None]:
    compared = comparison.compare(number.value, number.published)
    return compared if column.comparable else compared | {"difference": None}


def _record(column: Column, number: Number, paper: PublishedTable | None) -> dict[str, Any]:
    low, high = number.interval or (None, None)
    missing = number.missing or {}
    return {
        **{"column": column.key, "value": number.value, "low": low, "high": high},
        **(_compared(column, number) if paper else {}),
        **{f"missing_{key}": missing.get(key) for key in ("reason", "fix")},
        **number.more,
    }
