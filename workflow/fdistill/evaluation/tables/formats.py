"""Every format that a table can be written in. A new one is one entry in `FORMATS`."""

from collections.abc import Callable
from pathlib import Path

from fdistill.artifacts.atomic import write_text
from fdistill.evaluation.tables.latex import to_latex
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.render import Table, to_csv, to_markdown
from fdistill.runtime.errors import UserError

FORMATS: dict[str, Callable[[Table], str]] = {
    ".csv": to_csv,
    ".md": to_markdown,
    ".tex": to_latex,
    ".html": to_html,
}


def write(table: Table, paths: list[Path]) -> None:
    """Write `table` to each path, in the format that its suffix names (.csv, .md, .tex, .html)."""
    for path in paths:
        if path.suffix not in FORMATS:
            raise UserError(f"{path}: unknown table format '{path.suffix}'; known: {', '.join(FORMATS)}")
    for path in paths:
        write_text(path, FORMATS[path.suffix](table))
