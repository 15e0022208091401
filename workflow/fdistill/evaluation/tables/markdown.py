"""Formats a table as GitHub's Markdown."""

import re

from fdistill.evaluation.tables.table import Table, panels

MARKS = {"best": "**{}**", "tied": "<u>{}</u>", "aside": "*{}*"}


def to_markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, with columns aligned for reading the source.

    Every group is a table of its own below the group's heading, because Markdown has one header line and no spans.
    """
    blocks = [escape_markdown(table.caption)]
    for panel in panels(table, max_columns=1):
        blocks += [f"**{escape_markdown(panel.spans[-1][0])}**"] if panel.spans else []
        cells = panel.cells.map(escape_markdown)
        for mark, form in MARKS.items():
            cells = cells.mask((panel.marks == mark) & (cells != ""), cells.map(form.format))
        alignment = ["left"] * panel.names + ["right"] * (len(panel.headings) - panel.names)
        headings = [escape_markdown(heading) for heading in panel.headings]
        blocks.append(
            cells.to_markdown(index=False, headers=headings, tablefmt="pipe", colalign=alignment, disable_numparse=True)
        )
    blocks += [escape_markdown(note) for note in table.notes]
    return "\n\n".join(blocks) + "\n"


def escape_markdown(text: str) -> str:
    """Return `text` escaped, so that GitHub's Markdown shows exactly its characters, inside a cell and outside."""
    text = re.sub(r"([\\`*_|<>~$])", r"\\\1", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)  # otherwise it is a link
    text = re.sub(r"&(?=#?\w+;)", r"\\&", text)  # otherwise it is an entity
    return "<br>".join(text.splitlines()).replace("\t", " ")
