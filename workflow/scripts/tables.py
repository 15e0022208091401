"""Write one of the paper's tables in every format asked for (.csv, .md, .tex, .html), or all results as one frame."""

import argparse
from pathlib import Path

from fdistill.artifacts.lineage import check_place, check_splits
from fdistill.config import arguments, cli, schema_flags
from fdistill.evaluation import published, tables
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError

FILE = "[TASK/SYSTEM=]FILE"  # with task and system, the file must say the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="table", required=True)
    rows = _rows_parser()

    command = commands.add_parser("main", parents=[rows], help="metrics of all systems (the paper's Table 2)")
    command.add_argument(
        "--metrics", nargs="+", type=arguments.placed, required=True, metavar=FILE, help="metrics.json files"
    )
    command.set_defaults(
        paper="fdistill_table2",
        build=lambda args: tables.main_table(
            cli.checked(args.metrics), _comparisons(args), args.tasks, _layout(args), _paper(args)
        ),
    )

    command = commands.add_parser("risk", parents=[rows], help="risks and teacher diversity (Table 3)")
    command.add_argument(
        "--risks", nargs="+", type=arguments.placed, required=True, metavar=FILE, help="risk.json files"
    )
    command.set_defaults(
        paper="fdistill_table3",
        build=lambda args: tables.risk_table(
            cli.checked(args.risks), _comparisons(args), args.tasks, _layout(args), _paper(args)
        ),
    )

    command = commands.add_parser("online", help="scores and times with online and offline teacher samples (Table 4)")
    command.add_argument(
        "--metrics", nargs="+", type=arguments.placed, required=True, metavar=FILE, help="metrics.json files"
    )
    command.add_argument(
        "--times",
        nargs="+",
        type=arguments.file_pair,
        required=True,
        metavar="TASK=FILE",
        help="each task's times of steps, from bench_online.py",
    )
    command.set_defaults(
        paper="fdistill_table4",
        build=lambda args: tables.online_table(
            cli.checked(args.metrics),
            _comparisons(args),
            _checked_by_task(args.times),
            args.tasks,
            args.texts.systems,
            _paper(args),
        ),
    )

    command = commands.add_parser(
        "results", parents=[rows], help="all metrics and risks of all seeds as one data frame (.parquet, .csv)"
    )
    for flag, name_of_files in (("--metrics", "metrics.json"), ("--risks", "risk.json")):
        command.add_argument(
            flag, nargs="*", type=arguments.placed, default=[], metavar=FILE, help=f"{name_of_files} files"
        )
    command.set_defaults(
        build=lambda args: tables.results_frame(
            cli.checked(args.metrics), cli.checked(args.risks), _comparisons(args), args.tasks, _layout(args)
        ),
        write=tables.write_frame,
    )

    command = commands.add_parser("datasets", help="sizes, sources and leakage (Table 6)")
    command.add_argument(
        "--manifests",
        nargs="+",
        type=arguments.file_pair,
        required=True,
        metavar="TASK=FILE",
        help="manifest.json files",
    )
    for flag, text in (
        ("--stands-for", "the paper's task that each task imitates"),
        ("--descriptions", "a description of each task"),
    ):
        command.add_argument(
            flag,
            nargs="+",
            type=arguments.pair,
            default=[],
            metavar="TASK=TEXT",
            help=f"{text} (default: that of --texts)",
        )
    command.set_defaults(
        paper="fdistill_table6",
        build=lambda args: tables.datasets_table(
            _checked_by_task(args.manifests),
            args.tasks,
            {task: args.texts.of_task(task, "stands_for", "–") for task in args.tasks} | dict(args.stands_for),
            {task: args.texts.of_task(task, "description", title) for task, title in args.tasks.items()}
            | dict(args.descriptions),
            _paper(args),
        ),
    )
    for table in ("main", "risk", "online", "results"):
        commands.choices[table].add_argument(
            "--comparisons",
            nargs="+",
            type=arguments.file_pair,
            required=True,
            metavar="TASK=FILE",
            help="each task's comparisons of its students, from compare.py",
        )
    for table in ("main", "risk", "online", "datasets"):
        schema_flags.add_flags(commands.choices[table], "tables")

    command = commands.add_parser("examples", parents=[rows], help="example outputs (Table 7)")
    command.add_argument(
        "--tests", nargs="+", type=arguments.file_pair, required=True, metavar="TASK=FILE", help="test splits"
    )
    command.add_argument(
        "--generations",
        nargs="+",
        type=arguments.file_pair,
        required=True,
        metavar="TASK/SYSTEM=FILE",
        help="outputs on them",
    )
    command.add_argument("--count", type=arguments.count, default=2, help="examples per task (default: %(default)s)")
    command.add_argument(
        "--seed", type=arguments.seed, default=0, help="seed of the choice of examples (default: %(default)s)"
    )
    command.set_defaults(build=_examples)

    for command in commands.choices.values():
        command.set_defaults(write=command.get_default("write") or tables.write)
        command.add_argument(
            "--tasks", nargs="+", type=arguments.name, required=True, metavar="KEY[=TITLE]", help="the tasks, in order"
        )
        cli.add_texts_flag(command)
        command.add_argument(
            "--output",
            nargs="+",
            type=Path,
            required=True,
            metavar="FILE",
            help="the suffix names the format",
        )
    args = cli.parse(parser, "output")
    args.texts = Texts.read(args.texts)
    args.tasks = args.texts.named_tasks(args.tasks)
    args.write(args.build(args), args.output)


def _checked_by_task(files: list[tuple[str, str]], split: str | None = None) -> dict[str, Path]:
    """Return the path of each task, whose file belongs to it and, if that is given, to the split."""
    for task, file in files:
        if [given for given, _ in files].count(task) > 1:
            raise UserError(f"{file}: one of several files of task '{task}'; give one")
        check_place(Path(file), task)
        if split is not None:
            check_splits(**{split: Path(file)})
    return {task: Path(file) for task, file in files}


def _rows_parser() -> argparse.ArgumentParser:
    rows = argparse.ArgumentParser(add_help=False)
    for flag, text in (
        ("--teacher", "the teacher's row"),
        ("--trivial", "systems that need no model"),
        ("--students", "the students, which are ranked"),
    ):
        rows.add_argument(flag, nargs="*", type=arguments.name, default=[], metavar="KEY[=TITLE]", help=text)
    return rows


def _comparisons(args: argparse.Namespace) -> list[Path]:
    return list(_checked_by_task(args.comparisons).values())


def _layout(args: argparse.Namespace) -> list:
    return tables.sections(*map(args.texts.named_systems, (args.teacher, args.trivial, args.students)))


def _paper(args: argparse.Namespace) -> PublishedTable | None:
    return published.read(args.paper) if schema_flags.read_flags(args, "tables")["compare_with"] == "paper" else None


def _examples(args: argparse.Namespace) -> object:
    for place, file in args.generations:
        task, _, system = place.partition("/")
        check_place(Path(file), task, system)
    return tables.examples_table(
        _checked_by_task(args.tests, split="test"),
        {place.partition("/")[::2]: Path(file) for place, file in args.generations},
        args.tasks,
        {key: title for section in _layout(args) for key, title in section.systems.items()},
        count=args.count,
        seed=args.seed,
    )


if __name__ == "__main__":
    cli.run(main)
