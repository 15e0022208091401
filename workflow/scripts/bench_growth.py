"""Measure what a step costs as its sizes grow, and compute what a study costs as its examples, seeds and GPUs do."""

import argparse
import json

from fdistill import cli
from fdistill.bench import command, growth, report
from fdistill.bench.machine import machine
from fdistill.experiment import set_up

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
    command.add_flags(parser, repeats=3)
    args = parser.parse_args()
    device = set_up(args.device, args.threads)
    how = (args.repeats, args.seed, device)
    first, task = next(iter(args.tasks.items()))
    steps = growth.grown_steps(task, args.terms, *how)
    costs = {name: growth.stage_costs(task, args.methods, *how) for name, task in args.tasks.items()}
    given = vars(args)
    study = growth.study_costs(costs, args.tasks, args.methods, *(sorted(set(given[name])) for name in SIZES))
    where = machine(device, args.threads)
    command.write(
        args,
        {"task": first, "steps": steps, "costs": costs, "study": study, "machine": where},
        report.grown_steps_table(steps, first, where),
        report.costs_table(costs, where),
        report.study_table(study, where),
    )


if __name__ == "__main__":
    cli.run(main)
