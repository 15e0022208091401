"""The parts of a table and what all formats share; CSV for programs, Markdown for readers."""

import csv
import io
import re
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

MAX_COLUMNS = 9  # beside the names of the rows, as in the widest panel of Wen et al. 2023, Table 2


@dataclass(frozen=True)
class Column:
    """A column; columns of one `group`, a task, share a heading. A `width`, as a share of the line, makes text wrap."""

    title: str
    group: str = ""
    number: bool = False
    width: float | None = None


@dataclass(frozen=True)
class Cell:
    """The plain text of one place in a table; `span` is the number of columns that it takes."""

    text: str
    mark: Literal["", "best", "second", "aside"] = ""  # aside: belongs to the row above
    span: int = 1


@dataclass(frozen=True)
class Table:
    """A table for readers (columns, sections, notes) and the same as data (records).

    `title` is the name of its page, `caption` says how to read it. `sections` are groups of rows with a rule between
    them; the spans of a row add up to the number of columns. The first columns, without a group, name the row.
    `records` are the rows of the CSV file: flat, in full precision, and without typographic marks.
    """

    caption: str
    columns: list[Column]
    sections: list[list[list[Cell]]]
    records: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    title: str = ""


def to_csv(table: Table) -> str:
    """Return the records as CSV, one per line; None is an empty field."""
    text = io.StringIO()
    header = list(dict.fromkeys(key for record in table.records for key in record))
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, with columns aligned for reading the source.

    Every group is a table of its own below the group's heading, because Markdown has one header line and no spans.
    """
    blocks = [escape_markdown(table.caption)]
    for panel in panels(table, max_columns=1):
        blocks += [f"**{escape_markdown(group)}**" for group in [panel.columns[-1].group] if group]
        rows = [[_markdown_cell(cell) for cell in spread(row)] for section in panel.sections for row in section]
        titles = [escape_markdown(column.title) for column in panel.columns]
        widths = [max(3, *(len(line[i]) for line in [titles, *rows])) for i in range(len(titles))]
        rule = [
            f"{'-' * (width - 1)}:" if column.number else "-" * width
            for column, width in zip(panel.columns, widths, strict=True)
        ]
        lines = []
        for line in (titles, rule, *rows):
            padded = [
                text.rjust(width) if column.number else text.ljust(width)
                for text, column, width in zip(line, panel.columns, widths, strict=True)
            ]
            lines.append(f"| {' | '.join(padded)} |")
        blocks.append("\n".join(lines))
    blocks += [escape_markdown(note) for note in table.notes]
    return "\n\n".join(blocks) + "\n"


def panels(table: Table, max_columns: int = MAX_COLUMNS) -> list[Table]:
    """Return the table, split between column groups into parts of at most `max_columns` beside the names of the rows.

    A wider group is a part of its own. Parts are filled from the last group on, as in the paper: DART alone, then the
    three tasks with fewer metrics.
    """
    n_names = next((i for i, column in enumerate(table.columns) if column.group), len(table.columns))
    groups = groupby(range(n_names, len(table.columns)), key=lambda i: table.columns[i].group)
    parts: list[list[int]] = [[]]
    for group in reversed([list(indices) for _, indices in groups]):
        if parts[0] and len(parts[0]) + len(group) > max_columns:
            parts.insert(0, [])
        parts[0] = group + parts[0]
    return [_select(table, [*range(n_names), *part]) for part in parts]


def escape_markdown(text: str) -> str:
    """Return `text` escaped, so that GitHub's Markdown shows exactly its characters, inside a cell and outside."""
    text = re.sub(r"([\\`*_|<>~$])", r"\\\1", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)  # otherwise it is a link
    text = re.sub(r"&(?=#?\w+;)", r"\\&", text)  # otherwise it is an entity
    return "<br>".join(text.splitlines()).replace("\t", " ")


def _select(table: Table, indices: list[int]) -> Table:
    """The table with some of its columns; a cell that spans several belongs to the first of them."""
    keep = set(indices)

    def select(row: list[Cell]) -> list[Cell]:
        starts = [sum(cell.span for cell in row[:i]) for i in range(len(row))]
        return [cell for start, cell in zip(starts, row, strict=True) if start in keep]

    return replace(
        table,
        columns=[table.columns[i] for i in indices],
        sections=[[select(row) for row in section] for section in table.sections],
    )


def spread(row: list[Cell]) -> list[Cell]:
    """Return a cell per column: empty cells follow one that spans several."""
    return [part for cell in row for part in (cell, *[Cell("")] * (cell.span - 1))]


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    if not text:
        return text
    return {"best": f"**{text}**", "second": f"<u>{text}</u>", "aside": f"*{text}*"}.get(cell.mark, text)
