"""What the papers printed: one YAML file per table beside this one, with our keys for tasks, systems and metrics.

A file has its source, a caption, the units, and per task a block of text: a line of columns, then rows. Numbers are
kept as they were printed (45.60, not 45.6); `-` stands where the paper has none.
"""

from dataclasses import dataclass
from pathlib import Path

from fdistill.artifacts.yaml_files import read_mapping

FOLDER = Path(__file__).parent
NONE = "-"


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper; `tasks` maps a task to its rows, each by column."""

    source: str
    caption: str
    units: str
    tasks: dict[str, list[dict[str, str | None]]]

    def number(self, task: str, column: str, system: str | None = None) -> str | None:
        """The number as printed, or None; in the first row of `system`, which is None for a table without systems."""
        rows = [row for row in self.tasks.get(task, []) if row.get("system") == system]
        return rows[0].get(column) if rows else None


def names() -> list[str]:
    """The tables that there are: `fdistill_table2`, `shleifer_rush_table5`, ..."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> PublishedTable:
    """The table `name`, as in `names`."""
    content = read_mapping(FOLDER / f"{name}.yaml", f"{name}.yaml")
    return PublishedTable(**content | {"tasks": {task: _rows(block) for task, block in content["tasks"].items()}})


def _rows(block: str) -> list[dict[str, str | None]]:
    columns, *rows = (line.split() for line in block.splitlines())
    cells = ([None if cell == NONE else cell for cell in row] for row in rows)
    return [dict(zip(columns, row, strict=True)) for row in cells]
