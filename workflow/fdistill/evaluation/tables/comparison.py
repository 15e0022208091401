"""Compares measured numbers with the paper's published ones.

Records get the keys `published` and `difference` (measured less published); in the printed tables, two rows below a
system's row show them.
"""

from typing import Any

from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.render import Cell

ROWS = {"published": "paper", "difference": "difference"}  # key of a record -> title of its row


def add_published(records: list[dict[str, Any]], paper: PublishedTable) -> None:
    """Add `published` and `difference` to every record with task, system, metric and mean; None without a number."""
    for record in records:
        record |= compare(record["mean"], paper.number(record["task"], record["metric"], record["system"]))


def compare(measured: float | None, printed: str | None) -> dict[str, float | None]:
    """Return `published` and `difference`, None if a number is missing; whole numbers stay whole."""
    published = None if printed is None else int(printed) if printed.isdigit() else float(printed)
    difference = None if measured is None or published is None else measured - published
    return {"published": published, "difference": difference}


def values(places: list[dict[str, Any] | None], form: str, span: int = 1) -> list[tuple[str, list[Cell]]]:
    """Return the rows of `ROWS` for a row of `places` (records), each as title and cells; none if nothing is published.

    `form` is the format of the numbers (as in `format`), `span` the number of columns per place.
    """
    if all(place is None or place.get("published") is None for place in places):
        return []
    rows = []
    for key, title in ROWS.items():
        numbers = [None if place is None else place.get(key) for place in places]
        texts = ["" if n is None else signed(n, form) if key == "difference" else format(n, form) for n in numbers]
        rows.append((title, [Cell(text, "aside", span) for text in texts]))
    return rows


def notes(tasks: dict[str, list[dict[str, Any]]], paper: PublishedTable) -> list[str]:
    """Return notes that explain the rows, and name the tasks (title -> compared records) without published numbers."""
    lacking = [title for title, places in tasks.items() if all(place["published"] is None for place in places)]
    rows = f"Rows 'paper': {paper.source} ({paper.units}). Rows 'difference': measured less the paper's."
    none = f"The paper has no numbers for {', '.join(lacking)}."
    return ([rows] if len(lacking) < len(tasks) else []) + ([none] if lacking else [])


def signed(number: float, form: str) -> str:
    """Return the number with its sign, as `form` (see `format`) shows it; a number that is shown as 0 has none."""
    text = format(number, f"z{form}")
    if text.startswith("-"):
        return text.replace("-", "−")
    return text if not text.strip("0.,") else f"+{text}"
