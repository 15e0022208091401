"""The flags of scripts that show results: files by task and system, rows, numbers of the paper."""

import argparse
from pathlib import Path

from fdistill.artifacts.lineage import check_place, check_splits
from fdistill.config import arguments, schema_flags
from fdistill.evaluation import published, tables
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.frame import Section
from fdistill.evaluation.tables.numbers import NONE
from fdistill.runtime.errors import UserError


def add_files_flag(parser: argparse.ArgumentParser, flag: str, form: str, text: str) -> None:
    """Add a flag for files of the form TASK=FILE or TASK/SYSTEM=FILE; `by_task` and `by_place` read them."""
    parser.add_argument(flag, nargs="+", type=arguments.file_pair, required=True, metavar=f"{form}=FILE", help=text)


def by_task(files: list[tuple[str, Path]], split: str | None = None) -> dict[str, Path]:
    """Return the path of each task.

    Raises UserError for a second file of a task, and for a file of another task or, if that is given, split.
    """
    for task, file in files:
        if [given for given, _ in files].count(task) > 1:
            raise UserError(f"{file}: one of several files of task '{task}'; give one")
        check_place(file, task)
        if split is not None:
            check_splits(**{split: file})
    return dict(files)


def by_place(files: list[tuple[str, Path]]) -> dict[tuple[str, str], Path]:
    """Return the path of each (task, system). Raises UserError for a file of another one."""
    places = {}
    for place, file in files:
        task, _, system = place.partition("/")
        check_place(file, task, system)
        places[task, system] = file
    return places


def add_comparisons_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--comparisons`, which say of students who leads."""
    add_files_flag(parser, "--comparisons", "TASK", "each task's comparisons of its students, from compare.py")


def add_task_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--tasks`, in the order of the tables."""
    parser.add_argument(
        "--tasks", nargs="+", type=arguments.name, required=True, metavar="KEY[=TITLE]", help="the tasks, in order"
    )


def add_row_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--teacher`, `--trivial` and `--students`, from which `layout` makes the rows."""
    for flag, text in (
        ("--teacher", "the teacher's row"),
        ("--trivial", "systems that need no model"),
        ("--students", "the students, which are ranked"),
    ):
        parser.add_argument(flag, nargs="*", type=arguments.name, default=[], metavar="KEY[=TITLE]", help=text)


def layout(args: argparse.Namespace) -> list[Section]:
    """Return the rows; `args.texts` has been read."""
    return tables.sections(*map(args.texts.named_systems, (args.teacher, args.trivial, args.students)))


def data_texts(args: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """Return what each of `args.tasks` (titles by task) stands for, and its description."""
    stands_for = {task: args.texts.of_task(task, "stands_for", NONE) for task in args.tasks}
    return stands_for, {task: args.texts.of_task(task, "description", title) for task, title in args.tasks.items()}


def paper(args: argparse.Namespace, *names: str) -> PublishedTable | None:
    """Return the paper's table of this name, or several as one, if the flags of section `tables` ask for it."""
    return published.read(*names) if schema_flags.read_flags(args, "tables")["compare_with"] == "paper" else None
