"""Draw a figure of one task as SVG: training curves, starts, risks, scores over cost, latency or size, the mixture."""

import argparse
from pathlib import Path

from fdistill.config import arguments, cli
from fdistill.config.placed_files import OF_ANY, OF_SYSTEM, add_files_flag, paths, with_systems
from fdistill.evaluation import figures
from fdistill.evaluation.texts import Texts

LOGS = "train.jsonl, one per seed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="figure", required=True)

    command = commands.add_parser("training", help="loss and development metric over steps")
    add_files_flag(command, "--logs", OF_SYSTEM, LOGS)
    command.set_defaults(draw=lambda args: figures.training_curves(args.logs, args.systems, args.title, args.output))

    command = commands.add_parser("starts", help="loss on the development split over steps, by the student's start")
    add_files_flag(command, "--logs", OF_SYSTEM, LOGS)
    command.set_defaults(draw=lambda args: figures.start_curves(args.logs, args.systems, args.title, args.output))

    command = commands.add_parser("risk", help="coverage risk over likelihood risk")
    add_files_flag(command, "--risks", OF_ANY, "risk.json files")
    command.set_defaults(
        draw=lambda args: figures.risk_scatter(paths(args.risks), args.systems, args.title, args.output)
    )

    command = commands.add_parser("cost", help="the main metric over the time that a student takes to train")
    add_files_flag(command, "--metrics", OF_ANY, "metrics.json files")
    add_files_flag(command, "--logs", OF_SYSTEM, LOGS)
    command.set_defaults(
        draw=lambda args: figures.cost_scatter(paths(args.metrics), args.logs, args.systems, args.title, args.output)
    )

    command = commands.add_parser("latency", help="the main metric over the latency of one input")
    add_files_flag(command, "--deployments", OF_ANY, "deployment.json files")
    command.set_defaults(
        draw=lambda args: figures.latency_scatter(paths(args.deployments), args.systems, args.title, args.output)
    )

    command = commands.add_parser("sizes", help="metrics over the student's size")
    add_files_flag(command, "--metrics", OF_ANY, "metrics.json files")
    command.add_argument(
        "--student", type=arguments.layers, required=True, metavar="JSON", help="layers per stack of the default size"
    )
    command.add_argument(
        "--student-sizes", type=arguments.sizes, default={}, metavar="JSON",
        help='layers of the other sizes by name, as {"e2d1": {"encoder": 2, "decoder": 1}} (default: {})',
    )  # fmt: skip
    command.set_defaults(
        draw=lambda args: figures.scores_by_size(
            paths(args.metrics),
            {None: args.student} | args.student_sizes,
            args.systems,
            args.title,
            args.output,
        )
    )

    command = commands.add_parser("mixture", help="what the exact mixture of JS does to training")
    command.add_argument("--mixture", type=Path, required=True, metavar="FILE", help="mixture.json")
    add_files_flag(command, "--logs", OF_SYSTEM, LOGS)
    command.set_defaults(
        draw=lambda args: figures.mixture(args.mixture, args.logs, args.systems, args.title, args.output)
    )

    for command in commands.choices.values():
        command.add_argument(
            "--systems",
            nargs="+",
            type=arguments.name,
            required=True,
            metavar="KEY[=TITLE]",
            help="in order, for the colours",
        )
        command.add_argument("--title", help="the figure's title (default: that of the task in --texts)")
        command.add_argument("--task", help="the task's key, which the files must say (default: any)")
        cli.add_texts_flag(command)
        command.add_argument("--output", type=Path, required=True, metavar="FILE", help="the figure to write (SVG)")
    args = cli.parse(parser, "output")
    if not (args.title or args.task):
        parser.error("one of the arguments --title and --task is required")
    args.logs = with_systems(vars(args).get("logs", []))
    texts = Texts.read(args.texts)
    args.systems = texts.named_systems(args.systems)
    args.title = args.title or texts.of_task(args.task, "title", args.task)
    args.draw(args)


if __name__ == "__main__":
    cli.run(main)
