"""Unfinished work kept as JSON behind a line with its SHA-256: what is damaged is computed again."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.shapes import Shape, parse


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write `value`, which consists of JSON values, to `path`, atomically."""
    content = json.dumps(value)
    write_text(path, f"{_digest(content.encode())}\n{content}")


def read_sealed(path: Path, shape: Shape) -> dict[str, Any]:
    """Return what `write_sealed` wrote. Raises ValueError when the file is damaged or has another shape."""
    digest, _, content = path.read_bytes().partition(b"\n")
    if digest.decode(errors="replace") != _digest(content):
        raise ValueError("its content is not what was written")
    return parse(content.decode(), shape)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
