"""Draw a figure of one task as SVG: training curves, or the methods' risks."""

import argparse
from pathlib import Path

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
    command.add_argument("--risks", nargs="+", type=Path, required=True, metavar="FILE", help="risk.json files")
    command.set_defaults(
        draw=lambda args: figures.risk_scatter(args.risks, dict(args.systems), args.title, args.output)
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
        command.add_argument("--title", required=True, help="the figure's title")
        command.add_argument("--output", type=Path, required=True, metavar="FILE", help="the figure to write (SVG)")
    args = parser.parse_args()
    args.draw(args)


if __name__ == "__main__":
    cli.run(main)
