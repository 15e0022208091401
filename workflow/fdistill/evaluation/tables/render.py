"""A table as text: CSV for programs, Markdown for reading, LaTeX (booktabs) for a paper."""

import csv
import io
import re
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Any, Literal

MAX_COLUMNS = 9  # beside the row's names: what the widest panel of Wen et al. 2023, Table 2 has


@dataclass(frozen=True)
class Column:
    """A column; those of one `group` share a heading. `width` (a share of the line) makes prose wrap."""

    title: str
    group: str = ""
    number: bool = False
    width: float | None = None


@dataclass(frozen=True)
class Cell:
    """What one place shows, in plain text; `span` is how many columns it takes."""

    text: str
    mark: Literal["", "best", "second", "aside"] = ""  # aside: said of the row above
    span: int = 1


@dataclass(frozen=True)
class Table:
    """A table to be read (columns, sections, notes) and the same as data (records).

    `sections` are groups of rows with a rule between them; a row's spans add up to the number of columns. The
    leading columns without a group name the row. `records` are the rows of the CSV file: flat, in full
    precision, without marks of typesetting.
    """

    caption: str
    columns: list[Column]
    sections: list[list[list[Cell]]]
    records: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def to_csv(table: Table) -> str:
    """The records, one a line; None is an empty field."""
    text = io.StringIO()
    header = list(dict.fromkeys(key for record in table.records for key in record))
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """GitHub's Markdown, in columns that line up when it is read as it stands."""
    blocks = [escape_markdown(table.caption)]
    for panel in panels(table):
        rows = [[_markdown_cell(cell) for cell in _spread(row)] for section in panel.sections for row in section]
        titles = [escape_markdown(column.title) for column in panel.columns]
        groups = [escape_markdown(column.group) for column in panel.columns]
        if any(groups):  # Markdown has one header line: the groups take it, and the titles follow
            first_of_group = [title if title not in groups[:i] else "" for i, title in enumerate(groups)]
            rows, titles = [titles, *rows], first_of_group
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


def to_latex(table: Table) -> str:
    """A float for a paper to include, with the panels one below the other."""
    lines = [
        "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; XeLaTeX beyond Latin letters.",
        "\\begin{table*}",
        "\\centering\\small",
        f"\\caption{{{escape_latex(table.caption)}}}",
    ]
    for panel in panels(table):
        lines += [f"\\begin{{tabular}}{{{''.join(map(_latex_column, panel.columns))}}}", "\\toprule"]
        lines += _latex_groups(panel.columns)
        lines.append(_latex_row([escape_latex(column.title) for column in panel.columns]))
        for section in panel.sections:
            lines.append("\\midrule")
            for before, row in pairwise([[], *section]):
                lines += ["\\addlinespace"] if _is_aside(before) and not _is_aside(row) else []
                lines.append(_latex_row([_latex_cell(cell) for cell in row]))
        lines += ["\\bottomrule", "\\end{tabular}", "\\par\\medskip"]
    lines += [f"{{\\footnotesize {escape_latex(note)}\\par}}" for note in table.notes]
    return "\n".join([*lines, "\\end{table*}", ""])


def panels(table: Table) -> list[Table]:
    """Break a wide table between column groups, into parts of at most MAX_COLUMNS beside the names.

    The last parts are the full ones, as in the paper: DART alone, then the three tasks with fewer metrics.
    """
    n_names = next((i for i, column in enumerate(table.columns) if column.group), len(table.columns))
    groups = groupby(range(n_names, len(table.columns)), key=lambda i: table.columns[i].group)
    parts: list[list[int]] = [[]]
    for group in reversed([list(indices) for _, indices in groups]):
        if parts[0] and len(parts[0]) + len(group) > MAX_COLUMNS:
            parts.insert(0, [])
        parts[0] = group + parts[0]
    return [_select(table, [*range(n_names), *part]) for part in parts]


def escape_markdown(text: str) -> str:
    """`text` so that GitHub's Markdown shows exactly its characters, inside a table's cell or out of it."""
    text = re.sub(r"([\\`*_|<>~$])", r"\\\1", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)  # no link; other brackets mean nothing
    text = re.sub(r"&(?=#?\w+;)", r"\\&", text)  # no entity
    return "<br>".join(text.splitlines()).replace("\t", " ")


_LATEX = {
    **{character: "\\" + character for character in "{}$&#_%"},
    "\\": "\\textbackslash{}",
    "^": "\\textasciicircum{}",
    "~": "\\textasciitilde{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\textquotedbl{}",
    "`": "\\textasciigrave{}",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "±": "$\\pm$",
    "−": "$-$",
    "–": "\\textendash{}",
    "…": "\\dots{}",
    "\t": " ",
}


def escape_latex(text: str) -> str:
    """`text` so that LaTeX sets exactly its characters."""
    lines = ("".join(_LATEX.get(character, character) for character in line) for line in text.splitlines())
    text = "\\newline{}".join(lines)
    text = re.sub(r"^([\[*])", r"{\1}", text)  # at the start of a row it would be an argument of the line break
    return re.sub(r"-(?=-)", "-{}", text)  # two hyphens, not a dash


def _select(table: Table, indices: list[int]) -> Table:
    """The table with some of its columns; a cell that spans several is kept where its first column is."""
    keep = set(indices)

    def select(row: list[Cell]) -> list[Cell]:
        starts = [sum(cell.span for cell in row[:i]) for i in range(len(row))]
        return [cell for start, cell in zip(starts, row, strict=True) if start in keep]

    return replace(
        table,
        columns=[table.columns[i] for i in indices],
        sections=[[select(row) for row in section] for section in table.sections],
    )


def _spread(row: list[Cell]) -> list[Cell]:
    """Markdown has no spans: the text, then empty cells."""
    return [part for cell in row for part in (cell, *[Cell("")] * (cell.span - 1))]


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    if not text:
        return text
    return {"best": f"**{text}**", "second": f"<u>{text}</u>", "aside": f"*{text}*"}.get(cell.mark, text)


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    commands = {"best": "\\textbf", "second": "\\underline", "aside": "\\textit"}
    text = f"{commands[cell.mark]}{{{text}}}" if cell.mark and text else text
    return text if cell.span == 1 else f"\\multicolumn{{{cell.span}}}{{c}}{{{text}}}"


def _is_aside(row: list[Cell]) -> bool:
    return any(cell.mark == "aside" for cell in row)


def _latex_row(cells: list[str]) -> str:
    return " & ".join(cells) + " \\\\"


def _latex_column(column: Column) -> str:
    if column.width is not None:
        return f"p{{{column.width}\\linewidth}}"
    return "r" if column.number else "l"


def _latex_groups(columns: list[Column]) -> list[str]:
    """The line of group headings, and the rules below them."""
    heads, rules, start = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        size = len(list(members))
        if group:
            heads.append(f"\\multicolumn{{{size}}}{{c}}{{{escape_latex(group)}}}")
            rules.append(f"\\cmidrule(lr){{{start}-{start + size - 1}}}")
        else:
            heads += [""] * size
        start += size
    return [_latex_row(heads), "".join(rules)] if rules else []
