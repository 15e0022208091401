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

    def number(self, task: str, column: str, system: str | None = None, **keys: str | None) -> str | None:
        """Return the number in the first row of `system` (None in a table without systems), as printed, or None.

        `keys` are what else the row must say, such as its `teacher` and `size`.
        """
        wanted = {"system": system, **keys}
        rows = [row for row in self.tasks.get(task, []) if all(row.get(key) == wanted[key] for key in wanted)]
        return rows[0].get(column) if rows else None


def names() -> list[str]:
    """Return the names of all tables: `fdistill_table2`, `shleifer_rush_table5`, ..."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(*tables: str) -> PublishedTable:
    """Return the table with one of the `names`, or several of one paper, each of other tasks, as one."""
    contents = [read_mapping(FOLDER / f"{name}.yaml", f"{name}.yaml") for name in tables]
    source = " and ".join([contents[0]["source"], *(more["source"].rpartition(", ")[2] for more in contents[1:])])
    tasks = {task: _rows(block) for content in contents for task, block in content["tasks"].items()}
    return PublishedTable(source, contents[0]["caption"], contents[0]["units"], tasks)


def _rows(block: str) -> list[dict[str, str | None]]:
    columns, *rows = (line.split() for line in block.splitlines())
    cells = ([None if cell == NONE else cell for cell in row] for row in rows)
    return [dict(zip(columns, row, strict=True)) for row in cells]
