"""What the formats share: a table as a data frame of texts, and its panels as wide as a page."""

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import pandas as pd

from fdistill.evaluation.tables.numbers import NONE

MAX_COLUMNS = 9  # beside the names of the rows, as in the widest panel of Wen et al. 2023, Table 2


@dataclass(frozen=True, eq=False)
class Table:
    """A table for readers (cells, marks, notes) and the same as data (records).

    `title` is the name of its page, `caption` says how to read it. `cells` are plain texts. Their index is (section,
    row), and a rule separates the sections. Their columns are headings, or (group, heading), where `groups` may have
    titles for the groups. The first `names` columns name the row, the others are numbers. `widths` maps headings of
    columns whose texts wrap to shares of the line. `marks` has the shape of `cells`, and the words best, tied, aside
    (belongs to the row above) or "". `records` are the rows of the CSV file: in full precision, without marks.
    """

    caption: str
    cells: pd.DataFrame
    names: int = 1
    records: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)
    title: str = ""
    widths: dict[str, float] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    marks: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if self.marks is None:
            object.__setattr__(self, "marks", pd.DataFrame("", self.cells.index, self.cells.columns))

    @property
    def headings(self) -> list[str]:
        """The headings of the columns, without their groups."""
        return list(self.cells.columns.get_level_values(-1))

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The title and the number of columns of each group, from the first column on; none if there are no groups."""
        if self.cells.columns.nlevels == 1:
            return []
        keys = groupby(self.cells.columns.get_level_values(0))
        return [(self.groups.get(key, key), len(list(columns))) for key, columns in keys]

    def part(self, *, rows: Any = slice(None), columns: Any = slice(None)) -> "Table":
        """Return the table with some of its rows and columns, by their positions."""
        return replace(self, cells=self.cells.iloc[rows, columns], marks=self.marks.iloc[rows, columns])


def cells_of(headings: list[str], sections: list[list[list[Any]]]) -> pd.DataFrame:
    """Return the cells of a table from the rows of each section."""
    places = [(section, row) for section, rows in enumerate(sections) for row in range(len(rows))]
    index = pd.MultiIndex.from_tuples(places, names=["section", "row"]) if places else None
    return pd.DataFrame([row for rows in sections for row in rows], index, headings, dtype=object)


def panels(table: Table, max_columns: int = MAX_COLUMNS) -> list[Table]:
    """Return the table, split between groups into parts of at most `max_columns` beside the names of the rows.

    A wider group is a part of its own. Parts are filled from the last group on, as in the paper: DART alone, then the
    three tasks with fewer metrics. Rows without a text in a part are left out of it: a system that the task has not.
    """
    if not table.spans:
        return [table]
    positions = range(table.names, len(table.headings))
    groups = groupby(positions, key=lambda i: table.cells.columns[i][0])
    parts: list[list[int]] = [[]]
    for group in reversed([list(members) for _, members in groups]):
        if parts[0] and len(parts[0]) + len(group) > max_columns:
            parts.insert(0, [])
        parts[0] = group + parts[0]
    has_text = ~table.cells.isin(["", NONE]).to_numpy()
    rows = [[row for row, texts in enumerate(has_text) if texts[part].any()] for part in parts]
    return [table.part(rows=kept, columns=[*range(table.names), *part]) for kept, part in zip(rows, parts, strict=True)]
