"""The page for annotators: one HTML file that needs no network, made of the template, style and script in `page/`."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "page"


def page(kit: dict[str, Any]) -> str:
    """Return the page of a kit, {"kit", "task", "title", "scale", "aspects", "inputs": [{"source", "outputs"}]}.

    The kit is in the page as JSON. Jinja's `tojson` escapes what could end the script that it stands in (`<`, `>`,
    `&`), and every character beyond ASCII, such as U+2028.
    """
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html").render(kit=kit)
