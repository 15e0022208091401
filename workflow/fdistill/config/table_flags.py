"""The flags of scripts that show results: comparisons, tasks, rows, numbers of the paper."""

import argparse

from fdistill.config import arguments, schema_flags
from fdistill.config.placed_files import OF_TASK, add_files_flag
from fdistill.evaluation import published, tables
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.frame import Section
from fdistill.evaluation.tables.numbers import NONE


def add_comparisons_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--comparisons`, which say of students who leads."""
    add_files_flag(parser, "--comparisons", OF_TASK, "each task's comparisons of its students, from compare.py")


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


def add_stages_flag(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add `--stages`, methods of which each adds one thing to the one before."""
    parser.add_argument(
        "--stages", nargs="+", default=[], required=required, metavar="METHOD", help="the study's stages, in order"
    )


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
