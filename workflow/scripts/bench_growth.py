"""Measure what a step costs as its sizes grow, and compute what a study costs as its examples, seeds and GPUs do."""

import argparse
import json
from pathlib import Path

from fdistill import cli
from fdistill.bench import growth, report
from fdistill.bench.machine import machine
from fdistill.evaluation.tables.render import to_markdown
from fdistill.experiment import set_up
from fdistill.files import write_json, write_text

SIZES = {"examples": [1_000, 10_000, 100_000], "seeds": [1, 3, 5], "devices": [1, 2, 4, 8, 16]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tasks", type=cli.json_mapping, required=True, metavar="JSON",
        help="the study's tasks by name, as their files have them; the step is measured in the first one's shapes",
    )  # fmt: skip
    parser.add_argument(
        "--methods", type=cli.json_mapping, required=True, metavar="JSON",
        help="the study's methods by name, with predistill if any starts from it",
    )  # fmt: skip
    parser.add_argument(
        "--terms", type=json.loads, required=True, metavar="JSON", help="those of JS, whose step is measured"
    )
    for name, values in SIZES.items():
        parser.add_argument(
            f"--{name}", type=int, nargs="+", default=values, metavar="INT",
            help=f"numbers of {name} that the study is computed for (default: {' '.join(map(str, values))})",
        )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, help="steps of each that are measured (default: 3)")
    parser.add_argument("--json", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--table", type=Path, required=True, help="Markdown file to write")
    cli.add_run_flags(parser)
    args = parser.parse_args()
    device = set_up(args.device, args.threads)
    how = (args.repeats, args.seed, device)
    first, task = next(iter(args.tasks.items()))
    steps = growth.grown_steps(task, args.terms, *how)
    costs = {name: growth.stage_costs(task, args.methods, *how) for name, task in args.tasks.items()}
    given = vars(args)
    study = growth.study_costs(costs, args.tasks, args.methods, *(sorted(set(given[name])) for name in SIZES))
    where = machine(device, args.threads)
    write_json(args.json, {"task": first, "steps": steps, "costs": costs, "study": study, "machine": where})
    tables = [
        report.grown_steps_table(steps, first, where),
        report.costs_table(costs, where),
        report.study_table(study, where),
    ]
    write_text(args.table, "\n".join(map(to_markdown, tables)))


if __name__ == "__main__":
    cli.run(main)
