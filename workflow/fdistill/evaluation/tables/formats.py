"""The file formats of tables. A new one is one entry in `FORMATS`."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fdistill.artifacts.atomic import atomic, write_text
from fdistill.evaluation.tables.latex import to_latex
from fdistill.evaluation.tables.markdown import to_markdown
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.table import Table
from fdistill.runtime.errors import UserError


def to_csv(table: Table) -> str:
    """Return the records as CSV; what is missing is an empty field. Raises UserError for a table without records."""
    if not len(table.records.columns):
        raise UserError(
            f"--output: table '{table.title}' has no form as CSV; its numbers are in the JSON file beside it"
        )
    return _csv(table.records)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


FORMATS: dict[str, Callable[[Table], str]] = {
    ".csv": to_csv,
    ".md": to_markdown,
    ".tex": to_latex,
    ".html": to_html,
}


def write(table: Table, paths: list[Path]) -> None:
    """Write `table` to each path in the format of its suffix; raises UserError for an unknown one, before writing."""
    _check(paths, FORMATS)
    with pd.option_context("styler.render.max_elements", sys.maxsize):  # it would leave out rows of a long table
        for path in paths:
            write_text(path, visible(FORMATS[path.suffix](table)))


def write_frame(frame: pd.DataFrame, paths: list[Path]) -> None:
    """Write `frame` to each path as .parquet or .csv; raises UserError for another suffix, before writing."""
    _check(paths, (".parquet", ".csv"))
    for path in paths:
        if path.suffix == ".csv":
            write_text(path, visible(_csv(frame)))
        else:
            with atomic(path) as temporary:
                frame.to_parquet(temporary, index=False)


def _check(paths: list[Path], known: object) -> None:
    for path in paths:
        if path.suffix not in known:
            raise UserError(f"{path}: unknown table format '{path.suffix}'; known: {', '.join(known)}")


def visible(text: str) -> str:
    """Return `text` with visible characters in place of control characters, except line breaks and tabs.

    Texts of data sets and outputs of models may contain them. In a page or a terminal they could delete or reorder what
    stands beside them (such as ESC, or the Unicode marks that change the direction of text).
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", _picture, text)


def _picture(match: re.Match) -> str:
    """Return Unicode's picture of a control character below 0x20, and the replacement character for any other."""
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"
