"""Formats a table as LaTeX (booktabs): floats that a paper can include."""

import re
from itertools import groupby, pairwise
from math import ceil

from pandas.io.formats.style import Styler

from fdistill.evaluation.tables.table import Table, panels

PAGE = 45  # lines of a table that fit on a page
LINE = 80  # characters of a line, to estimate the lines of columns that wrap
NEEDS = "% Needs \\usepackage{booktabs,graphicx} and \\usepackage[T1]{fontenc}; XeLaTeX beyond Latin letters."
FIT = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"  # wider tables are scaled down
MARKS = {"best": "textbf:--rwrap;", "tied": "underline:--rwrap;", "aside": "textit:--rwrap;"}


def to_latex(table: Table) -> str:
    """Return the table as one float with its panels below each other, or as floats of a page each if it is longer."""
    parts = panels(table)
    fits = sum(sum(_heights(part)) for part in parts) <= PAGE
    floats = [parts] if fits else [[page] for part in parts for page in _pages(part)]
    lines = [NEEDS]
    for number, shown in enumerate(floats, start=1):
        lines += ["\\addtocounter{table}{-1}"] if number > 1 else []
        caption = _symbols(table.caption) if number == 1 else "(continued)"
        lines += ["\\begin{table*}", "\\centering\\small\\setlength{\\tabcolsep}{4pt}", f"\\caption{{{caption}}}"]
        lines += [line for panel in shown for line in _tabular(panel)]
        if number == len(floats):
            lines += [f"{{\\footnotesize {escape_latex(note)}\\par}}" for note in table.notes]
        lines.append("\\end{table*}")
    return "\n".join([*lines, ""])


def _pages(panel: Table) -> list[Table]:
    """The panel in parts of at most a page, cut between sections; a section longer than a page is cut between rows."""
    heights, pages, room = _heights(panel), [[]], PAGE
    for _, members in groupby(enumerate(panel.cells.index.get_level_values(0)), key=lambda row: row[1]):
        section = [row for row, _ in members]
        whole = sum(heights[row] for row in section) <= PAGE
        for rows in [section] if whole else [[row] for row in section]:
            height = sum(heights[row] for row in rows)
            if pages[-1] and height > room:
                pages.append([])
                room = PAGE
            pages[-1] += rows
            room -= height
    return [panel.part(rows=rows) for rows in pages]


def _heights(panel: Table) -> list[int]:
    """The number of lines of each row, estimated; only columns with a width wrap."""
    widths = [LINE * panel.widths.get(heading, 0) for heading in panel.headings]
    rows = panel.cells.itertuples(index=False)
    return [
        max(ceil(len(text) / width) if width else 1 for text, width in zip(row, widths, strict=True)) for row in rows
    ]


def _tabular(panel: Table) -> list[str]:
    columns = ["l"] * panel.names + ["r"] * (len(panel.headings) - panel.names)
    for i, heading in enumerate(panel.headings):
        columns[i] = f"p{{{panel.widths[heading]}\\linewidth}}" if heading in panel.widths else columns[i]
    styler = Styler(panel.cells).hide(axis="index").format(escape_latex)
    styler.apply(lambda _: panel.marks.replace(MARKS), axis=None).format_index(
        _symbols, axis=1, level=panel.cells.columns.nlevels - 1
    )
    if panel.spans:
        styler.format_index(lambda key: escape_latex(panel.groups.get(key, key)), axis=1, level=0)
    text = styler.to_latex(hrules=True, column_format="".join(columns), multicol_align="c")
    head, body = text.split("\n\\midrule\n")
    begin, top, *headings = head.split("\n")
    *rows, bottom, end, _ = body.split("\n")  # a line each, as the cells have no line breaks
    lines = [f"{FIT}\n{begin}", top, *headings[:-1], *_rules(panel), headings[-1]]
    asides = (panel.marks == "aside").any(axis=1)
    before = None, False
    for row, section, aside in zip(rows, panel.cells.index.get_level_values(0), asides, strict=True):
        lines += ["\\midrule"] if section != before[0] else ["\\addlinespace"] if before[1] and not aside else []
        lines.append(row)
        before = section, aside
    return [*lines, bottom, f"{end}}}", "\\par\\medskip"]


def _rules(panel: Table) -> list[str]:
    """The line of rules below the headings of groups."""
    ends = [0]
    for _, size in panel.spans:
        ends.append(ends[-1] + size)
    spans = [f"\\cmidrule(lr){{{start + 1}-{end}}}" for start, end in pairwise(ends) if start >= panel.names]
    return ["".join(spans)] if spans else []


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
    text = "\\newline{}".join(line.translate(str.maketrans(_LATEX)) for line in text.splitlines())
    text = re.sub(r"^([\[*])", r"{\1}", text)  # in front of a row it would be an argument of the line break before
    return re.sub(r"-(?=-)", "-{}", text)  # otherwise two hyphens become a dash


def _symbols(text: str) -> str:
    """The text escaped, with the risks as the paper prints them."""
    return re.sub(r"\bR\\_(llh|cvg)\b", r"$R_{\\mathrm{\1}}$", escape_latex(text))
