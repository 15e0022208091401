"""Draw a figure of one task as SVG: training curves, or the methods' risks."""

import argparse
from pathlib import Path

from fdistill.config import cli
from fdistill.config.cli import name, pair
from fdistill.evaluation import figures
from fdistill.evaluation.texts import Texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="figure", required=True)

    command = commands.add_parser("training", help="loss and development metric over steps")
    command.add_argument(
        "--logs", nargs="+", type=pair, required=True, metavar="SYSTEM=FILE", help="train.jsonl, one per seed"
    )
    command.set_defaults(
        draw=lambda args: figures.training_curves(
            [(system, Path(file)) for system, file in args.logs], args.systems, args.title, args.output
        )
    )

    command = commands.add_parser("risk", help="coverage risk over likelihood risk")
    command.add_argument("--risks", nargs="+", type=Path, required=True, metavar="FILE", help="risk.json files")
    command.set_defaults(draw=lambda args: figures.risk_scatter(args.risks, args.systems, args.title, args.output))

    for command in commands.choices.values():
        command.add_argument(
            "--systems",
            nargs="+",
            type=name,
            required=True,
            metavar="KEY[=TITLE]",
            help="in order, for the colours",
        )
        title = command.add_mutually_exclusive_group(required=True)
        title.add_argument("--title", help="the figure's title")
        title.add_argument("--task", metavar="KEY", help="the figure's task; its title is the task's in --texts")
        cli.add_texts_flag(command)
        command.add_argument("--output", type=Path, required=True, metavar="FILE", help="the figure to write (SVG)")
    args = parser.parse_args()
    texts = Texts.read(args.texts)
    args.systems = texts.named_systems(args.systems)
    args.title = args.title or texts.of_task(args.task, "title", args.task)
    args.draw(args)


if __name__ == "__main__":
    cli.run(main)
