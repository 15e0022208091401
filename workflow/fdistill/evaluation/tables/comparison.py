"""The paper's published numbers beside the measured ones.

Records get two keys, `published` and `difference` (measured less published); where a table is read, a system's row is
followed by two more that show them.
"""

from typing import Any

from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.render import Cell

ROWS = {"published": "paper", "difference": "difference"}  # by the key of what they show


def add_published(records: list[dict[str, Any]], paper: PublishedTable) -> None:
    """Give every record (task, system, metric, mean) the paper's number; None where the paper has none."""
    for record in records:
        record |= compared(record["mean"], paper.number(record["task"], record["metric"], record["system"]))


def compared(measured: float | None, printed: str | None) -> dict[str, float | None]:
    """The keys `published` and `difference`; a difference needs both numbers, and counts stay whole."""
    published = None if printed is None else int(printed) if printed.isdigit() else float(printed)
    difference = None if measured is None or published is None else measured - published
    return {"published": published, "difference": difference}


def values(places: list[dict[str, Any] | None], form: str, span: int = 1) -> list[tuple[str, list[Cell]]]:
    """The rows of `ROWS` below a row of `places`, each as its title and a cell per place; none if nothing is published.

    `form` is how numbers are written (as in `format`), `span` how many columns a place takes.
    """
    if all(place is None or place.get("published") is None for place in places):
        return []
    rows = []
    for key, title in ROWS.items():
        numbers = [None if place is None else place.get(key) for place in places]
        texts = ["" if n is None else _signed(n, form) if key == "difference" else format(n, form) for n in numbers]
        rows.append((title, [Cell(text, "aside", span) for text in texts]))
    return rows


def notes(tasks: dict[str, list[dict[str, Any]]], paper: PublishedTable) -> list[str]:
    """What the rows are, and the tasks (titles, with what was compared) that the paper has no number for."""
    lacking = [title for title, places in tasks.items() if all(place["published"] is None for place in places)]
    rows = f"Rows 'paper': {paper.source} ({paper.units}). Rows 'difference': measured less the paper's."
    none = f"The paper has no numbers for {', '.join(lacking)}."
    return ([rows] if len(lacking) < len(tasks) else []) + ([none] if lacking else [])


def _signed(number: float, form: str) -> str:
    """With its sign; 0 has none, nor what is shown as 0."""
    text = format(number, f"z{form}")
    if text.startswith("-"):
        return text.replace("-", "−")
    return text if not text.strip("0.,") else f"+{text}"
