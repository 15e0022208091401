"""The numbers that papers published: one YAML file per table in this folder, with our keys of tasks and metrics.

A file has the source, a caption, the units, and a block of text per task: a line of columns, then rows. Numbers are as
printed (45.60, not 45.6); `-` means that the paper has none.
"""

from dataclasses import dataclass
from pathlib import Path

from fdistill.artifacts.yaml_files import read_mapping

FOLDER = Path(__file__).parent
NONE = "-"


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper; `tasks` maps a task to its rows, which map columns to numbers as printed."""

    source: str
    caption: str
    units: str
    tasks: dict[str, list[dict[str, str | None]]]

    def number(self, task: str, column: str, system: str | None = None) -> str | None:
        """Return the number in the first row of `system` (None in a table without systems), as printed, or None."""
        rows = [row for row in self.tasks.get(task, []) if row.get("system") == system]
        return rows[0].get(column) if rows else None


def names() -> list[str]:
    """Return the names of all tables: `fdistill_table2`, `shleifer_rush_table5`, ..."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> PublishedTable:
    """Return the table with one of the `names`."""
    content = read_mapping(FOLDER / f"{name}.yaml", f"{name}.yaml")
    return PublishedTable(**content | {"tasks": {task: _rows(block) for task, block in content["tasks"].items()}})


def _rows(block: str) -> list[dict[str, str | None]]:
    columns, *rows = (line.split() for line in block.splitlines())
    cells = ([None if cell == NONE else cell for cell in row] for row in rows)
    return [dict(zip(columns, row, strict=True)) for row in cells]
