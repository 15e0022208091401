"""What an SVG file shows."""

from pathlib import Path
from xml.etree import ElementTree


def texts(path: Path) -> list[str]:
    """Return all texts of an SVG file."""
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
