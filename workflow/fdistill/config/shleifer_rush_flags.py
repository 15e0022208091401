"""The commands of tables.py for the tables of Shleifer & Rush 2020, and their flags."""

import argparse
from pathlib import Path

from fdistill.artifacts.systems import split_size
from fdistill.config import table_flags
from fdistill.config.placed_files import OF_ANY, OF_BOTH, OF_TASK, add_files_flag, by_task, paths
from fdistill.evaluation import tables
from fdistill.evaluation.tables.shleifer_rush.scores import Folders
from fdistill.runtime.errors import UserError

# The results that tables are made of, by flag.
RESULTS = {
    "--metrics": (OF_ANY, "metrics.json files"),
    "--deployments": (OF_ANY, "deployment.json files"),
    "--logs": (OF_BOTH, "train.jsonl files, one per seed"),
}
# Each command's text in help, the flags of its results, and what builds its table.
COMMANDS = {
    "shleifer_rush_table5": (
        "SFT, KD and PL with their costs (Shleifer & Rush, Table 5)",
        ("--metrics", "--logs"),
        lambda args: tables.methods_table(paths(args.metrics), _logs(args), *_common(args, "5")),
    ),
    "shleifer_rush_table6": (
        "size, time and quality (Tables 6 and 7)",
        ("--metrics", "--deployments"),
        lambda args: tables.speeds_table(paths(args.metrics), paths(args.deployments), *_common(args, "6", "7")),
    ),
    "shleifer_rush_table8": (
        "starts of the student (Tables 8 and 9)",
        ("--logs",),
        lambda args: tables.starts_table(_logs(args), *_common(args, "8", "9")),
    ),
    "shleifer_rush_table10": (
        "original labels and pseudo-labels (Table 10)",
        ("--metrics",),
        lambda args: tables.mixtures_table(paths(args.metrics), *_common(args, "10")),
    ),
}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands, each with the files that its table is made of."""
    for name, (text, results, build) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        for flag in results:
            add_files_flag(command, flag, *RESULTS[flag])
        add_files_flag(command, "--teachers", OF_TASK, "folders of the teachers")
        add_files_flag(command, "--starts", OF_BOTH, "folders of the untrained students, which say their layers")
        command.set_defaults(build=build)


def _common(args: argparse.Namespace, *numbers: str) -> tuple:
    """The arguments of every table after its results; `numbers` are those of the paper's tables."""
    paper = table_flags.paper(args, *(f"shleifer_rush_table{number}" for number in numbers))
    return _folders(args), args.tasks, args.texts.systems, paper


def _logs(args: argparse.Namespace) -> dict[str, list[tuple[str, Path]]]:
    """The training curves by task."""
    logs: dict[str, list[tuple[str, Path]]] = {}
    for task, system, path in args.logs:
        logs.setdefault(task, []).append((system, path))
    return logs


def _folders(args: argparse.Namespace) -> dict[str, Folders]:
    """The folders of each task; raises UserError for a task without its teacher's."""
    teachers = by_task(args.teachers)
    starts: dict[str, dict[str | None, Path]] = {task: {} for task in args.tasks}
    for task, system, folder in args.starts:
        starts.setdefault(task, {})[split_size(system)[1]] = folder
    if missing := [task for task in args.tasks if task not in teachers]:
        raise UserError(f"--teachers: no folder of the teacher of task '{missing[0]}'; give {missing[0]}=FOLDER")
    return {task: Folders(teachers[task], starts[task]) for task in args.tasks}
