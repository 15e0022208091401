"""Files on a command line that are given with their task and system, which `cli.parse` compares with their lineage."""

import argparse
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fdistill.artifacts.lineage import check_place, check_splits
from fdistill.runtime.errors import UserError

_TASK, _SYSTEM, _PATH = r"(?P<task>\w+)", r"(?P<system>[\w-]+)", r"(?P<path>.+)"
# The forms of the flags' values, as help shows them. A file alone may belong to any task and system.
OF_TASK, OF_SYSTEM, OF_BOTH, OF_ANY = "TASK=FILE", "SYSTEM=FILE", "TASK/SYSTEM=FILE", "[TASK/SYSTEM=]FILE"
_PATTERNS = {
    OF_TASK: f"{_TASK}={_PATH}",
    OF_SYSTEM: f"{_SYSTEM}={_PATH}",
    OF_BOTH: f"{_TASK}/{_SYSTEM}={_PATH}",
    OF_ANY: f"(?:{_TASK}/{_SYSTEM}=)?{_PATH}",
}


class PlacedFile(NamedTuple):
    """A file or folder with the task and system that it was given with, None if it was given without."""

    task: str | None
    system: str | None
    path: Path

    def check(self, task: str | None) -> None:
        """Raise UserError when the file says another system, or another task; `task` is that of the whole command."""
        if self.system or self.task or task:
            check_place(self.path, self.task or task, self.system)


def placed_file(text: str, form: str) -> PlacedFile:
    """Return a value of one of the forms, as a type of `argparse`."""
    if (match := re.fullmatch(_PATTERNS[form], text, re.DOTALL)) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form {form}")
    found = match.groupdict()
    return PlacedFile(found.get("task"), found.get("system"), Path(found["path"]))


def add_files_flag(parser: argparse.ArgumentParser, flag: str, form: str, text: str, required: bool = True) -> None:
    """Add a flag for one or more files of one of the forms; for none too, if it is not `required`."""
    parser.add_argument(
        flag, nargs="+" if required else "*", type=partial(placed_file, form=form), required=required, default=[],
        metavar=form, help=text,
    )  # fmt: skip


def paths(files: Iterable[PlacedFile]) -> list[Path]:
    """Return the paths alone."""
    return [file.path for file in files]


def by_task(files: Iterable[PlacedFile], split: str | None = None) -> dict[str, Path]:
    """Return the path of each task; raises UserError for a second file of a task, and for a file of another `split`."""
    found: dict[str, Path] = {}
    for task, _, path in files:
        if task in found:
            raise UserError(f"{path}: one of several files of task '{task}'; give one")
        if split is not None:
            check_splits(**{split: path})
        found[task] = path
    return found


def by_place(files: Iterable[PlacedFile]) -> dict[tuple[str, str], Path]:
    """Return the path of each (task, system)."""
    return {(task, system): path for task, system, path in files}


def with_systems(files: Iterable[PlacedFile]) -> list[tuple[str, Path]]:
    """Return (system, path) pairs."""
    return [(system, path) for _, system, path in files]
