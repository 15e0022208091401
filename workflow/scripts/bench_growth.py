"""Measure the cost of a step as its sizes grow, and of each stage; compute from these the cost of the study.

The study's cost is computed stage by stage as it is configured, and in total as its examples, seeds and devices grow.
"""

import argparse

from fdistill.bench import command, report, study
from fdistill.bench.costs import stage_costs
from fdistill.bench.growth import grown_steps
from fdistill.bench.machine import machine
from fdistill.config import arguments, cli
from fdistill.config.placed_files import OF_TASK, add_files_flag, by_task
from fdistill.runtime.device import set_up_device

SIZES = {"examples": [1_000, 10_000, 100_000], "seeds": [1, 3, 5], "devices": [1, 2, 4, 8, 16]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tasks", type=arguments.tasks, required=True, metavar="JSON",
        help="the study's tasks by name, as in their files; the step is measured in the first one's shapes",
    )  # fmt: skip
    parser.add_argument(
        "--methods", type=arguments.methods, required=True, metavar="JSON",
        help="the study's methods by name, with predistill if any starts from it",
    )  # fmt: skip
    parser.add_argument(
        "--terms", type=arguments.terms, required=True, metavar="JSON", help="terms of JS, whose step is measured"
    )
    for name, values in SIZES.items():
        parser.add_argument(
            f"--{name}", type=arguments.count, nargs="+", default=values, metavar="INT",
            help=f"numbers of {name} for which the study's cost is computed (default: {' '.join(map(str, values))})",
        )  # fmt: skip
    parser.add_argument(
        "--study-seeds",
        type=arguments.count,
        default=1,
        metavar="INT",
        help="seeds of the study as configured (default: 1)",
    )
    text = "the manifests that prepare.py wrote, for tasks whose sources have no `expected_counts`"
    add_files_flag(parser, "--manifests", OF_TASK, text, required=False)
    command.add_flags(parser, repeats=3)
    cli.add_memory_flag(parser)
    args = cli.parse(parser, "json", "table")
    counts = study.example_counts(args.tasks, by_task(args.manifests))
    device = set_up_device(args.device, args.threads)
    run = (args.repeats, args.seed, device)
    first, task = next(iter(args.tasks.items()))
    steps = grown_steps(task, args.terms, *run)
    costs = {name: stage_costs(task, args.methods, *run, args.gpu_memory) for name, task in args.tasks.items()}
    examples, seeds, devices = (sorted(set(vars(args)[name])) for name in SIZES)
    planned = study.plan(costs, args.tasks, counts, args.methods, args.study_seeds, devices)
    grown = study.study_costs(costs, args.tasks, args.methods, examples, seeds, devices)
    where = machine(device, args.threads)
    content = {"task": first, "steps": steps, "costs": costs, "plan": planned, "study": grown, "machine": where}
    command.write(
        args,
        content,
        report.grown_steps_table(steps, first, where),
        report.costs_table(costs, where),
        report.plan_table(planned, where),
        report.study_table(grown, where),
    )


if __name__ == "__main__":
    cli.run(main)
