"""Measure what a step costs as its sizes grow, and what each stage costs; compute what the study does.

As it is configured, stage by stage, and as its examples, seeds and GPUs grow.
"""

import argparse
import json
from pathlib import Path

from fdistill.artifacts.files import read_json
from fdistill.bench import command, report, study
from fdistill.bench.costs import stage_costs
from fdistill.bench.growth import grown_steps
from fdistill.bench.machine import machine
from fdistill.config import cli
from fdistill.runtime.device import set_up
from fdistill.runtime.errors import UserError

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
    parser.add_argument(
        "--study-seeds", type=int, default=1, metavar="INT", help="seeds of the study as configured (default: 1)"
    )
    parser.add_argument(
        "--manifests", type=cli.pair, nargs="*", default=[], metavar="TASK=PATH",
        help="what prepare.py wrote beside the splits, for tasks whose sources do not state their `expected_counts`",
    )  # fmt: skip
    command.add_flags(parser, repeats=3)
    cli.add_memory_flag(parser)
    args = parser.parse_args()
    counts = _counts(args.tasks, dict(args.manifests))
    device = set_up(args.device, args.threads)
    how = (args.repeats, args.seed, device)
    first, task = next(iter(args.tasks.items()))
    steps = grown_steps(task, args.terms, *how)
    costs = {name: stage_costs(task, args.methods, *how, args.gpu_memory) for name, task in args.tasks.items()}
    examples, seeds, devices = (sorted(set(vars(args)[name])) for name in SIZES)
    planned = study.plan(costs, args.tasks, counts, args.methods, args.study_seeds, devices)
    grown = study.study_costs(costs, args.tasks, args.methods, examples, seeds, devices)
    where = machine(device, args.threads)
    found = {"task": first, "steps": steps, "costs": costs, "plan": planned, "study": grown, "machine": where}
    command.write(
        args,
        found,
        report.grown_steps_table(steps, first, where),
        report.costs_table(costs, where),
        report.plan_table(planned, where),
        report.study_table(grown, where),
    )


def _counts(tasks: dict[str, dict], manifests: dict[str, str]) -> dict[str, dict[str, int]]:
    """Examples of each split, by task: those stated, or those prepared."""
    found = {}
    for name, task in tasks.items():
        stated = task["source"].get("expected_counts")
        if stated is None and name not in manifests:
            raise UserError(f"--manifests: {name} is missing, whose source states no expected_counts")
        found[name] = stated or read_json(Path(manifests[name]))["splits"]
    return found


if __name__ == "__main__":
    cli.run(main)
