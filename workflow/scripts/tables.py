"""Write one of the paper's tables in every format asked for (.csv, .md, .tex, .html), or all results as one frame."""

import argparse
from pathlib import Path

from fdistill.config import arguments, cli, schema_flags, shleifer_rush_flags, table_flags
from fdistill.config.placed_files import OF_ANY, OF_BOTH, OF_TASK, add_files_flag, by_place, by_task, paths
from fdistill.evaluation import tables
from fdistill.evaluation.tables.examples import SEED
from fdistill.evaluation.texts import Texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="table", required=True)

    command = commands.add_parser("main", help="metrics of all systems (the paper's Table 2)")
    add_files_flag(command, "--metrics", OF_ANY, "metrics.json files")
    command.set_defaults(
        build=lambda args: tables.main_table(
            paths(args.metrics), *_compared(args), table_flags.paper(args, "fdistill_table2")
        ),
    )

    command = commands.add_parser("risk", help="risks and teacher diversity (Table 3)")
    add_files_flag(command, "--risks", OF_ANY, "risk.json files")
    command.set_defaults(
        build=lambda args: tables.risk_table(
            paths(args.risks), *_compared(args), table_flags.paper(args, "fdistill_table3")
        ),
    )

    command = commands.add_parser("stages", help="what each stage adds to the one before")
    add_files_flag(command, "--metrics", OF_ANY, "metrics.json files")
    add_files_flag(command, "--risks", OF_ANY, "risk.json files")
    table_flags.add_stages_flag(command, required=True)
    command.set_defaults(
        build=lambda args: tables.stages_table(paths(args.metrics), paths(args.risks), *_compared(args), args.stages),
    )

    command = commands.add_parser("online", help="scores and times with online and offline teacher samples (Table 4)")
    add_files_flag(command, "--metrics", OF_ANY, "metrics.json files")
    add_files_flag(command, "--times", OF_TASK, "each task's times of steps, from bench_online.py")
    command.set_defaults(
        build=lambda args: tables.online_table(
            paths(args.metrics),
            list(by_task(args.comparisons).values()),
            by_task(args.times),
            args.tasks,
            args.texts.systems,
            table_flags.paper(args, "fdistill_table4"),
        ),
    )

    command = commands.add_parser("layers", help="inference time by layers (Shleifer & Rush, section 6.4)")
    add_files_flag(command, "--times", OF_TASK, "each task's fit, from bench_layers.py")
    command.set_defaults(
        build=lambda args: tables.layers_table(
            by_task(args.times), args.tasks, table_flags.paper(args, "shleifer_rush_section6_4")
        ),
    )

    command = commands.add_parser("deployment", help="what models cost in use, by each runtime")
    add_files_flag(command, "--deployments", OF_ANY, "deployment.json files")
    command.set_defaults(
        build=lambda args: tables.deployment_table(paths(args.deployments), args.tasks, table_flags.layout(args)),
    )

    command = commands.add_parser("perplexity", help="perplexities before and after distillation")
    add_files_flag(command, "--perplexities", OF_ANY, "perplexity.json files, one per model")
    command.add_argument(
        "--systems", nargs="+", type=arguments.name, required=True, metavar="KEY[=TITLE]", help="the rows, in order"
    )
    command.set_defaults(
        build=lambda args: tables.perplexity_table(
            paths(args.perplexities), args.tasks, args.texts.named_systems(args.systems)
        ),
    )

    command = commands.add_parser(
        "results", help="all metrics and risks of all seeds as one data frame (.parquet, .csv)"
    )
    for flag, name_of_files in (("--metrics", "metrics.json"), ("--risks", "risk.json")):
        add_files_flag(command, flag, OF_ANY, f"{name_of_files} files", required=False)
    command.set_defaults(
        build=lambda args: tables.results_frame(paths(args.metrics), paths(args.risks), *_compared(args)),
        write=tables.write_frame,
    )

    command = commands.add_parser("datasets", help="sizes, sources and leakage (Table 6)")
    add_files_flag(command, "--manifests", OF_TASK, "manifest.json files")
    command.set_defaults(
        build=lambda args: tables.datasets_table(
            by_task(args.manifests),
            args.tasks,
            *table_flags.data_texts(args),
            table_flags.paper(args, "fdistill_table6"),
        ),
    )

    command = commands.add_parser("examples", help="example outputs (Table 7)")
    add_files_flag(command, "--tests", OF_TASK, "test splits")
    add_files_flag(command, "--generations", OF_BOTH, "outputs on them")
    command.add_argument("--count", type=arguments.count, default=2, help="examples per task (default: %(default)s)")
    command.add_argument(
        "--seed", type=arguments.seed, default=SEED, help="seed of the choice of examples (default: %(default)s)"
    )
    command.set_defaults(build=_examples)

    shleifer_rush_flags.add_commands(commands)

    for table, command in commands.choices.items():
        if table not in ("datasets", "online", "layers", "perplexity", *shleifer_rush_flags.COMMANDS):
            table_flags.add_row_flags(command)
        if table in ("main", "risk", "stages", "online", "results"):
            table_flags.add_comparisons_flag(command)
        if table in ("main", "risk", "online", "datasets", "layers", *shleifer_rush_flags.COMMANDS):
            schema_flags.add_flags(command, "tables")
        command.set_defaults(write=command.get_default("write") or tables.write)
        table_flags.add_task_flags(command)
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


def _compared(args: argparse.Namespace) -> tuple:
    """The comparisons of each task, the tasks, and the rows."""
    return list(by_task(args.comparisons).values()), args.tasks, table_flags.layout(args)


def _examples(args: argparse.Namespace) -> object:
    generations = by_place(args.generations)
    return tables.examples_table(
        by_task(args.tests, split="test"),
        generations,
        args.tasks,
        {key: title for section in table_flags.layout(args) for key, title in section.systems.items()},
        count=args.count,
        seed=args.seed,
    )


if __name__ == "__main__":
    cli.run(main)
