"""Formats a table as LaTeX (booktabs): floats that a paper can include."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise
from math import ceil

from fdistill.evaluation.tables.render import Cell, Column, Table, panels, spread

PAGE = 45  # lines of a table that fit on a page
LINE = 80  # characters of a line, to estimate the lines of columns that wrap
NEEDS = "% Needs \\usepackage{booktabs,graphicx} and \\usepackage[T1]{fontenc}; XeLaTeX beyond Latin letters."
FIT = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"  # wider tables are scaled down


def to_latex(table: Table) -> str:
    """Return the table as one float with its panels below each other, or as floats of a page each if it is longer."""
    parts = panels(table)
    fits = sum(_height(section, part.columns) for part in parts for section in part.sections) <= PAGE
    floats = [parts] if fits else [[page] for part in parts for page in _pages(part)]
    lines = [NEEDS]
    for number, shown in enumerate(floats, start=1):
        lines += ["\\addtocounter{table}{-1}"] if number > 1 else []
        caption = escape_latex(table.caption) if number == 1 else "(continued)"
        lines += [
            "\\begin{table*}",
            "\\centering\\small\\setlength{\\tabcolsep}{4pt}",
            f"\\caption{{{_symbols(caption)}}}",
        ]
        lines += [line for panel in shown for line in _tabular(panel)]
        if number == len(floats):
            lines += [f"{{\\footnotesize {escape_latex(note)}\\par}}" for note in table.notes]
        lines.append("\\end{table*}")
    return "\n".join([*lines, ""])


def _pages(panel: Table) -> Iterator[Table]:
    """The panel in parts of at most a page, cut between sections; a section longer than a page is cut between rows."""
    page: list[list[list[Cell]]] = []
    room = PAGE
    for section in panel.sections:
        whole = _height(section, panel.columns) <= PAGE
        for i, rows in enumerate([section] if whole else [[row] for row in section]):
            height = _height(rows, panel.columns)
            if page and height > room:
                yield replace(panel, sections=page)
                page, room = [], PAGE
            if i > 0 and page:
                page[-1] = page[-1] + rows
            else:
                page.append(rows)
            room -= height
    yield replace(panel, sections=page)


def _height(rows: list[list[Cell]], columns: list[Column]) -> int:
    """The number of lines of some rows, estimated."""
    return sum(max(map(_lines, spread(row), columns)) for row in rows)


def _lines(cell: Cell, column: Column) -> int:
    """The number of lines of a cell, estimated; only columns with a width wrap."""
    return ceil(len(cell.text) / (LINE * column.width)) if column.width else 1


def _tabular(panel: Table) -> list[str]:
    lines = [f"{FIT}\n\\begin{{tabular}}{{{''.join(map(_column, panel.columns))}}}", "\\toprule"]
    lines += _groups(panel.columns)
    lines.append(_row([_symbols(escape_latex(column.title)) for column in panel.columns]))
    for section in panel.sections:
        lines.append("\\midrule")
        for before, row in pairwise([[], *section]):
            lines += ["\\addlinespace"] if _is_aside(before) and not _is_aside(row) else []
            lines.append(_row([_cell(cell) for cell in row]))
    return [*lines, "\\bottomrule", "\\end{tabular}}", "\\par\\medskip"]


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
    "†": "\\textdagger{}",
    "\t": " ",
}


def escape_latex(text: str) -> str:
    """Return `text` escaped, so that LaTeX prints exactly its characters."""
    lines = ("".join(_LATEX.get(character, character) for character in line) for line in text.splitlines())
    text = "\\newline{}".join(lines)
    text = re.sub(r"^([\[*])", r"{\1}", text)  # in front of a row it would be an argument of the line break before
    return re.sub(r"-(?=-)", "-{}", text)  # otherwise two hyphens become a dash


def _symbols(text: str) -> str:
    """The risks as the paper prints them."""
    return re.sub(r"\bR\\_(llh|cvg)\b", r"$R_{\\mathrm{\1}}$", text)


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    commands = {"best": "\\textbf", "second": "\\underline", "aside": "\\textit"}
    text = f"{commands[cell.mark]}{{{text}}}" if cell.mark and text else text
    return text if cell.span == 1 else f"\\multicolumn{{{cell.span}}}{{c}}{{{text}}}"


def _is_aside(row: list[Cell]) -> bool:
    return any(cell.mark == "aside" for cell in row)


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + " \\\\"


def _column(column: Column) -> str:
    if column.width is not None:
        return f"p{{{column.width}\\linewidth}}"
    return "r" if column.number else "l"


def _groups(columns: list[Column]) -> list[str]:
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
    return [_row(heads), "".join(rules)] if rules else []
