"""The file formats of tables. A new one is one entry in `FORMATS`."""

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
    """Write `table` to each path in the format of its suffix; raises UserError for an unknown one, before writing."""
    for path in paths:
        if path.suffix not in FORMATS:
            raise UserError(f"{path}: unknown table format '{path.suffix}'; known: {', '.join(FORMATS)}")
    for path in paths:
        write_text(path, FORMATS[path.suffix](table))
