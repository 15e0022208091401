"""The commands of tables.py for the tables of Shleifer & Rush 2020, and their flags."""

import argparse
from collections.abc import Callable
from pathlib import Path

from fdistill.artifacts.lineage import check_place
from fdistill.artifacts.systems import split_size
from fdistill.config import arguments, placed_files, table_flags
from fdistill.config.placed_files import OF_ANY, OF_BOTH, OF_TASK, add_files_flag
from fdistill.evaluation import tables
from fdistill.evaluation.tables.shleifer_rush.scores import Folders
from fdistill.evaluation.tables.table import Table
from fdistill.runtime.errors import UserError

COMMANDS = ("shleifer_rush_table5", "shleifer_rush_table6", "shleifer_rush_table8", "shleifer_rush_table10")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands, each with the files that its table is made of."""
    table5, table6, table8, table10 = COMMANDS
    _add(commands, table5, "SFT, KD and PL with their costs (Shleifer & Rush, Table 5)", ["metrics", "logs"], _methods)
    _add(commands, table6, "size, time and quality (Tables 6 and 7)", ["metrics", "deployments"], _speeds)
    _add(commands, table8, "starts of the student (Tables 8 and 9)", ["logs"], _starts)
    _add(commands, table10, "original labels and pseudo-labels (Table 10)", ["metrics"], _mixtures)


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    files: list[str],
    build: Callable[[argparse.Namespace], Table],
) -> None:
    command = commands.add_parser(name, help=text)
    for kind in [kind for kind in files if kind != "logs"]:
        named = {"metrics": "metrics.json", "deployments": "deployment.json"}[kind]
        add_files_flag(command, f"--{kind}", OF_ANY, f"{named} files")
    if "logs" in files:
        add_files_flag(command, "--logs", OF_BOTH, "train.jsonl files, one per seed")
    add_files_flag(command, "--teachers", OF_TASK, "folders of the teachers")
    command.add_argument(
        "--starts", nargs="+", type=arguments.file_pair, required=True, metavar="TASK/init_student[-SIZE]=FOLDER",
        help="folders of the untrained students, which say their layers",
    )  # fmt: skip
    command.set_defaults(build=build)


def _methods(args: argparse.Namespace) -> Table:
    paper = table_flags.paper(args, "shleifer_rush_table5")
    return tables.methods_table(
        placed_files.paths(args.metrics), _logs(args), _folders(args), args.tasks, args.texts.systems, paper
    )


def _speeds(args: argparse.Namespace) -> Table:
    files = map(placed_files.paths, (args.metrics, args.deployments))
    paper = table_flags.paper(args, "shleifer_rush_table6", "shleifer_rush_table7")
    return tables.speeds_table(*files, _folders(args), args.tasks, args.texts.systems, paper)


def _starts(args: argparse.Namespace) -> Table:
    paper = table_flags.paper(args, "shleifer_rush_table8", "shleifer_rush_table9")
    return tables.starts_table(_logs(args), _folders(args), args.tasks, args.texts.systems, paper)


def _mixtures(args: argparse.Namespace) -> Table:
    paper = table_flags.paper(args, "shleifer_rush_table10")
    metrics = placed_files.paths(args.metrics)
    return tables.mixtures_table(metrics, _folders(args), args.tasks, args.texts.systems, paper)


def _logs(args: argparse.Namespace) -> dict[str, list[tuple[str, Path]]]:
    """The training curves by task."""
    logs: dict[str, list[tuple[str, Path]]] = {}
    for task, system, path in args.logs:
        logs.setdefault(task, []).append((system, path))
    return logs


def _folders(args: argparse.Namespace) -> dict[str, Folders]:
    """The folders of each task; raises UserError for a start of another task, and a task without its teacher's."""
    teachers = placed_files.by_task(args.teachers)
    starts: dict[str, dict[str | None, Path]] = {task: {} for task in args.tasks}
    for place, folder in args.starts:
        task, _, name = place.partition("/")
        method, size = split_size(name)
        check_place(folder, task, method)
        starts.setdefault(task, {})[size] = folder
    if missing := [task for task in args.tasks if task not in teachers]:
        raise UserError(f"--teachers: no folder of the teacher of task '{missing[0]}'; give {missing[0]}=FOLDER")
    return {task: Folders(teachers[task], starts[task]) for task in args.tasks}
