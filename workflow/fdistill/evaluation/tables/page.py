"""Formats a table as a web page, for the report and for narrow screens: a wide table scrolls within the page."""

import re
from html import escape
from itertools import groupby

from fdistill.evaluation.tables.render import Cell, Column, Table, panels

STYLE = """
body { font: 14px/1.4 sans-serif; margin: 1.5em; overflow-wrap: break-word; }
.scroll { overflow-x: auto; margin-bottom: 1.5em; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th, td { padding: .2em .7em; text-align: left; vertical-align: top; }
tbody { border-top: 1px solid; }
.number { text-align: right; }
.number, .name { white-space: nowrap; }
.text { min-width: 12em; }
.group, .span { text-align: center; }
.group { border-bottom: 1px solid #999; }
small { color: #666; }
tr:has(small) td { padding-top: 0; padding-bottom: 0; }
tr:has(small) + tr:not(:has(small)) td { padding-top: .7em; }
@media (max-width: 600px) {
  body { margin: .7em; }
  th, td { padding: .2em .4em; }
  .group, .span { text-align: left; }
}
"""


def to_html(table: Table) -> str:
    """Return the table as a page: caption, panels below each other, notes."""
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(table.title or table.caption)}</title>\n<style>{STYLE}</style>",
            f"<p>{_symbols(table.caption)}</p>",
            *(_panel(panel) for panel in panels(table)),
            *(f"<p>{escape(note)}</p>" for note in table.notes),
            "</html>\n",
        ]
    )


def _panel(table: Table) -> str:
    lines = ["<div class=scroll tabindex=0>", "<table>", "<thead>"]  # tabindex: scrolls by the keyboard
    if any(column.group for column in table.columns):
        groups = [(name, len(list(members))) for name, members in groupby(table.columns, key=lambda c: c.group)]
        heads = "".join(f'<th colspan="{n}"{" class=group" if g else ""}>{escape(g)}</th>' for g, n in groups)
        lines.append(f"<tr>{heads}</tr>")
    titles = "".join(f"<th{_class(column)}>{_symbols(column.title)}</th>" for column in table.columns)
    lines += [f"<tr>{titles}</tr>", "</thead>"]
    for section in table.sections:
        lines += ["<tbody>", *(_row(row, table.columns) for row in section), "</tbody>"]
    return "\n".join([*lines, "</table>", "</div>"])


def _row(row: list[Cell], columns: list[Column]) -> str:
    cells, start = [], 0
    for cell in row:
        text = escape(cell.text).replace("\n", "<br>")
        tag = {"best": "b", "second": "u", "aside": "small"}.get(cell.mark)
        text = f"<{tag}>{text}</{tag}>" if tag and text else text
        place = f' colspan="{cell.span}" class=span' if cell.span > 1 else _class(columns[start])
        cells.append(f"<td{place}>{text}</td>")
        start += cell.span
    return f"<tr>{''.join(cells)}</tr>"


def _symbols(text: str) -> str:
    """The text escaped, with the risks as the paper prints them."""
    return re.sub(r"\bR_(llh|cvg)\b", r"<i>R</i><sub>\1</sub>", escape(text))


def _class(column: Column) -> str:
    return f" class={'number' if column.number else 'name' if column.width is None else 'text'}"
