"""Web pages from the Jinja templates in `evaluation/templates`: a table as a page, or as panels of another page.

Every text is escaped, pages load nothing, and the same values give the same bytes. A wide table scrolls within its
page. Only the page for annotators runs a script, which reads its texts from JSON: there, Jinja's `tojson` escapes what
could end the script element (`<`, `>`, `&`), and every character beyond ASCII, such as U+2028.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fdistill.evaluation.tables.numbers import p_value, plain
from fdistill.evaluation.tables.table import Table, panels


def to_html(table: Table) -> str:
    """Return the table as a page: caption, panels below each other, notes."""
    return render("table_page", table=table)


def render(template: str, **values: Any) -> str:
    """Return the page of a template, whose file is `TEMPLATE.jinja`."""
    return _environment().get_template(f"{template}.jinja").render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fdistill.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(panels=panels, sections=_sections, panel_title=_panel_title)
    environment.filters.update(number=plain, p_value=_p_value, listed=_listed)
    return environment


def _sections(panel: Table) -> list[list[list[tuple[str, str]]]]:
    """The rows of each section; a row is a list of cells, each a text and its mark."""
    sections: dict[int, list] = {}
    rows = zip(panel.cells.to_numpy().tolist(), panel.marks.to_numpy().tolist(), strict=True)
    for place, (texts, marks) in zip(panel.cells.index, rows, strict=True):
        sections.setdefault(place[0], []).append(list(zip(texts, marks, strict=True)))
    return list(sections.values())


def _panel_title(panel: Table) -> str:
    """The title of the table, with the titles of the panel's groups."""
    groups = ", ".join(title for title, _ in panel.spans if title)
    return f"{panel.title}: {groups}" if panel.title and groups else panel.title or groups or panel.caption


def _p_value(p: float) -> str:
    text = p_value(p)
    return (f"p {text}" if text.startswith("<") else f"p = {text}").replace(" ", "\N{NO-BREAK SPACE}")


def _listed(names: Iterable[str], titles: Mapping[str, str] | None = None) -> str:
    """The names, or their titles, as `a, b and c`."""
    *others, last = (titles[name] if titles else name for name in names)
    return f"{', '.join(others)} and {last}" if others else last
