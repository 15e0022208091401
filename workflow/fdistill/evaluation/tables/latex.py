"""Formats a table as LaTeX (booktabs): floats that a paper can include."""

import re
from itertools import groupby, pairwise
from math import ceil
from unicodedata import east_asian_width

from pandas.io.formats.style import Styler

from fdistill.evaluation.tables.table import Table, panels

PAGE = 48  # lines of an article's page, the caption's included
HEAD = 4  # lines that the headings and rules of a panel take
RULE = 0.5  # lines that the space around a rule takes
LINE = 80  # characters of a line, to estimate the lines of texts that wrap
LONG = 20  # characters of a word that may go on in the next line, as a column of texts may be narrower
NEEDS = (
    "% Needs \\usepackage{array,booktabs,graphicx}, and with pdfLaTeX \\usepackage[T1]{fontenc}.\n"
    "% Characters beyond Latin letters need XeLaTeX and a font that has them, by \\usepackage{fontspec}."
)
STYLE = "\\centering\\small\\setlength{\\tabcolsep}{4pt}"
FIT = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"  # wider tables are scaled down
BREAK = re.compile(r"(?<=\S)(?=[\w!-~])")  # within a word, not in front of what belongs to the character before
MARKS = {"best": "textbf:--rwrap;", "tied": "underline:--rwrap;", "aside": "textit:--rwrap;"}


def to_latex(table: Table) -> str:
    """Return the table as one float with its panels below each other, or as floats of a page each if it is longer."""
    room = PAGE - _lines(table.caption, LINE)
    blocks = [(HEAD + sum(_heights(part)), _tabular(part)) for panel in panels(table) for part in _parts(panel, room)]
    notes = ((note, f"{{\\footnotesize\\raggedright {escape_latex(note)}\\par}}") for note in table.notes)
    pages = _filled(blocks + [(_lines(note, LINE), [line]) for note, line in notes], room)
    captions = [_symbols(table.caption), *["(continued)"] * (len(pages) - 1)]
    return f"{NEEDS}\n" + "\\addtocounter{table}{-1}\n".join(map(_float, captions, pages))


def _float(caption: str, lines: list[str]) -> str:
    return "\n".join(["\\begin{table*}", STYLE, f"\\caption{{{caption}}}", *lines, "\\end{table*}\n"])


def _parts(panel: Table, room: float) -> list[Table]:
    """The panel in parts of at most `room` lines, cut between sections; a section longer than that, between rows."""
    heights, blocks = _heights(panel), []
    for _, members in groupby(enumerate(panel.cells.index.get_level_values(0)), key=lambda row: row[1]):
        rows = [row for row, _ in members]
        height = sum(heights[row] for row in rows)
        blocks += [(height, rows)] if HEAD + height <= room else [(heights[row], [row]) for row in rows]
    return [panel.part(rows=rows) for rows in _filled(blocks, room - HEAD)]


def _filled(blocks: list[tuple[float, list]], room: float) -> list[list]:
    """The blocks, which are (height, items), joined in order to lists of items of at most `room` lines."""
    filled, left = [[]], room
    for height, items in blocks:
        if filled[-1] and height > left:
            filled.append([])
            left = room
        filled[-1] += items
        left -= height
    return filled


def _heights(panel: Table) -> list[float]:
    """The number of lines of each row with the space above it, estimated; only columns with a width wrap."""
    widths = [LINE * panel.widths.get(heading, 0) for heading in panel.headings]
    texts = panel.cells.itertuples(index=False)
    lines = [max(_lines(text, width) if width else 1 for text, width in zip(row, widths, strict=True)) for row in texts]
    return [height + RULE * bool(gap) for height, gap in zip(lines, _gaps(panel), strict=True)]


def _lines(text: str, width: float) -> int:
    """The number of lines of a text in a column of `width` characters, of which East Asian ones take two each."""
    lengths = [sum(1 + (east_asian_width(character) in "WF") for character in line) for line in text.splitlines()]
    return sum(max(ceil(length / width), 1) for length in lengths)


def _tabular(panel: Table) -> list[str]:
    columns = ["l"] * panel.names + ["r"] * (len(panel.headings) - panel.names)
    for i, heading in enumerate(panel.headings):
        if heading in panel.widths:
            columns[i] = f">{{\\raggedright\\arraybackslash}}p{{{panel.widths[heading]}\\linewidth}}"
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
    for gap, row in zip(_gaps(panel), rows, strict=True):
        lines += [*gap, row]
    return [*lines, bottom, f"{end}}}", "\\par\\medskip"]


def _gaps(panel: Table) -> list[list[str]]:
    """What stands above each row: a rule above a section, space between systems if rows belong to the row above."""
    asides = (panel.marks == "aside").any(axis=1)
    gaps, before = [], (None, False)
    for section, aside in zip(panel.cells.index.get_level_values(0), asides, strict=True):
        new_section, new_system = section != before[0], before[1] and not aside
        gaps.append(["\\midrule"] if new_section else ["\\addlinespace"] if new_system else [])
        before = section, aside
    return gaps


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
    "α": "$\\alpha$",
    "−": "$-$",
    "–": "\\textendash{}",
    "…": "\\dots{}",
    "†": "$\\dagger$",
    "✓": "$\\surd$",
    "✗": "$\\times$",
    "\t": " ",
    "\N{ZERO WIDTH SPACE}": "\\allowbreak{}",
}


def escape_latex(text: str) -> str:
    """Return `text` escaped, so that LaTeX prints its characters, and breaks long words and texts without spaces."""
    text = re.sub(rf"\S{{{LONG + 1},}}", lambda word: BREAK.sub("\N{ZERO WIDTH SPACE}", word.group()), text)
    text = "\\newline{} ".join(line.translate(str.maketrans(_LATEX)) for line in text.splitlines())
    text = re.sub(r"^(?=\\newline)", r"\\leavevmode", text)  # a line break needs a line
    text = re.sub(r"^([\[*])", r"{\1}", text)  # in front of a row it would be an argument of the line break before
    return re.sub(r"([-',])(?=\1)", r"\1{}", text)  # otherwise two become a dash or a quotation mark


def _symbols(text: str) -> str:
    """The text escaped, with the risks as the paper prints them."""
    return re.sub(r"\bR\\_(llh|cvg)\b", r"$R_{\\mathrm{\1}}$", escape_latex(text))
