"""Draw a figure of one task as SVG: training curves, or the methods' risks."""

import argparse
from pathlib import Path

from fdistill.artifacts.lineage import common_lineage
from fdistill.config import cli
from fdistill.config.cli import pair
from fdistill.evaluation import figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="figure", required=True)

    command = commands.add_parser("training", help="loss and development metric over steps")
    command.add_argument(
        "--logs", nargs="+", type=pair, required=True, metavar="SYSTEM=FILE", help="train.jsonl, one per seed"
    )
    command.set_defaults(
        draw=lambda args: figures.training_curves(
            [(system, Path(file)) for system, file in args.logs], dict(args.systems), args.title, args.output
        )
    )

    command = commands.add_parser("risk", help="coverage risk over likelihood risk")
    command.add_argument(
        "--risks", nargs="+", type=cli.placed, required=True, metavar="[TASK/SYSTEM=]FILE", help="risk.json files"
    )
    command.set_defaults(
        draw=lambda args: figures.risk_scatter(
            [path for _, _, path in args.risks], dict(args.systems), args.title, args.output
        )
    )

    for command in commands.choices.values():
        command.add_argument(
            "--systems",
            nargs="+",
            type=pair,
            required=True,
            metavar="KEY=TITLE",
            help="in order, for the colours",
        )
        command.add_argument("--task", help="the task's key, which the files must say (default: any)")
        command.add_argument("--title", required=True, help="the figure's title")
        command.add_argument("--output", type=Path, required=True, metavar="FILE", help="the figure to write (SVG)")
    args = cli.parse(parser, "output")
    check_files(args)
    args.draw(args)


def check_files(args: argparse.Namespace) -> None:
    """Raise UserError when a file belongs to another task or system than it was given with."""
    if args.figure == "risk":
        given = [(task or args.task, system, path) for task, system, path in args.risks]
    else:
        given = [(args.task, system, Path(file)) for system, file in args.logs]
    for task, system, path in given:
        common_lineage(path, task=task, method=system, seeds_differ=True)


if __name__ == "__main__":
    cli.run(main)
