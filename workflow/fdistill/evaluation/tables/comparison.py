"""Compares measured numbers with the paper's published ones.

Records get `published` and `difference` (measured less published); in the printed tables, two rows below a system's
row show them.
"""

import pandas as pd

from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.numbers import signed

ROWS = {"published": "paper", "difference": "difference"}  # what is compared -> title of its row


def add_published(means: pd.DataFrame, paper: PublishedTable) -> pd.DataFrame:
    """Return the rows, each of a task, system and metric, with `published` and `difference`."""
    numbers = (paper.number(row.task, row.metric, row.system) for row in means.itertuples())
    compared = map(compare, means["value"], numbers)
    return means.join(pd.DataFrame(compared, means.index, ROWS, dtype=object))


def compare(measured: float | None, printed: str | None) -> dict[str, float | None]:
    """Return `published` and `difference`, None if a number is missing; whole numbers stay whole."""
    published = None if printed is None else int(printed) if printed.isdigit() else float(printed)
    difference = None if pd.isna(measured) or published is None else measured - published
    return {"published": published, "difference": difference}


def shown(key: str, number: float | None, form: str) -> str:
    """Return the text in the row `key` of `ROWS`; `form` is the format of the numbers (as in `format`)."""
    if pd.isna(number):
        return ""
    return signed(number, form) if key == "difference" else format(number, form)


def notes(found: dict[str, bool], paper: PublishedTable) -> list[str]:
    """Return notes that explain the rows, and name the tasks without published numbers (title -> whether any is)."""
    lacking = [title for title, any_number in found.items() if not any_number]
    rows = f"Rows 'paper': {paper.source} ({paper.units}). Rows 'difference': measured less the paper's."
    none = f"The paper has no numbers for {', '.join(lacking)}."
    return ([rows] if len(lacking) < len(found) else []) + ([none] if lacking else [])
