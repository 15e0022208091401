"""A human evaluation: write a blinded kit for annotators, or the table of what their ratings say."""

import argparse
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.artifacts.lineage import check_place
from fdistill.config import arguments, cli, schema_flags
from fdistill.config.placed_files import OF_SYSTEM, add_files_flag, with_systems
from fdistill.config.schema import section
from fdistill.evaluation import published, tables
from fdistill.evaluation.human.analysis import analyse
from fdistill.evaluation.human.kit import make_key, read_key, write_kit
from fdistill.evaluation.human.ratings import read_ratings
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import problems

KIT_FLAGS = ("inputs", "scale", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("kit", help="the page and CSV file for annotators, and the key that unblinds them")
    command.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    text = "outputs on it; the first system is the one that the others are tested against"
    add_files_flag(command, "--generations", OF_SYSTEM, text)
    command.add_argument("--task", required=True, help="the task's key, which the files must say")
    schema = section("human")
    command.add_argument(
        "--aspects", type=arguments.aspects, default=schema["properties"]["aspects"]["default"], metavar="JSON",
        help="what is rated, as a task's human.aspects (default: fluency, missing information, hallucination)",
    )  # fmt: skip
    schema_flags.add_flags(command, "human", keys=KIT_FLAGS)
    command.add_argument("--page", type=Path, required=True, help="HTML page to write, for annotators")
    command.add_argument("--csv", type=Path, required=True, help="CSV file of the same items to write, for annotators")
    command.add_argument("--key", type=Path, required=True, help="key to write (JSON), not for annotators")
    command.add_argument(
        "--ratings", type=Path, metavar="FOLDER",
        help="folder of the annotators' files: while it has some, their key is not replaced (default: it is replaced)",
    )  # fmt: skip
    command.set_defaults(run=kit)

    command = commands.add_parser("table", help="agreement, means and tests of rated systems (the paper's Table 5)")
    command.add_argument(
        "--ratings", nargs="+", type=Path, required=True, metavar="FILE", help="the annotators' files, .json and .csv"
    )
    command.add_argument("--key", type=Path, required=True, help="the key of the kit that they have rated")
    command.add_argument("--task", help="the task's key, which the key must say (default: as it says)")
    command.add_argument("--results", type=Path, required=True, help="all numbers, to write (JSON)")
    command.add_argument(
        "--output", nargs="+", type=Path, required=True, metavar="FILE", help="tables; the suffix names the format"
    )
    schema_flags.add_flags(command, "tables")
    command.set_defaults(run=table)

    for command in commands.choices.values():
        cli.add_texts_flag(command)
    args = cli.parse(parser, "page", "csv", "key", "results", "output")
    args.run(args, Texts.read(args.texts))


def kit(args: argparse.Namespace, texts: Texts) -> None:
    settings = {key: getattr(args, key) for key in KIT_FLAGS}
    generations = with_systems(args.generations)
    named = {"generations": [system for system, _ in generations]}
    for mistake in problems(named, {"properties": {"generations": section("human.systems")}}):
        raise UserError(f"--{mistake.line('')}")
    key = make_key(args.test, dict(generations), args.task, aspects=args.aspects, **settings)
    paths = {name: getattr(args, name) for name in ("page", "csv", "key")}
    write_kit(key, texts.of_task(args.task, "title", args.task), paths, args.ratings)


def table(args: argparse.Namespace, texts: Texts) -> None:
    if args.task is not None:
        check_place(args.key, args.task)
    key = read_key(args.key)
    results = analyse(read_ratings(args.ratings, key), key)
    write_json(args.results, results)
    tasks = texts.named_tasks([(key["task"], "")])
    systems = texts.named_systems([(system, "") for system in key["systems"]])
    compared = schema_flags.read_flags(args, "tables")["compare_with"] == "paper"
    paper = published.read("fdistill_table5") if compared else None
    tables.write(tables.human_table(results, tasks, systems, paper), args.output)


if __name__ == "__main__":
    cli.run(main)
