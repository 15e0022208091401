"""Measure how fast a task's teacher draws off line by each engine, beside a plain loop: its shapes, random weights."""

import argparse

from fdistill.bench import command, offline, report
from fdistill.bench.machine import machine
from fdistill.bench.work import AS_IN_TEXT, Work, end_by_context
from fdistill.config import cli
from fdistill.data.encoding import Limits
from fdistill.runtime.device import set_up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=cli.json_mapping, required=True, metavar="JSON", help="a task's section `model`"
    )
    parser.add_argument("--inputs", type=int, default=256, help="sources that are drawn for (default: 256)")
    command.add_flags(parser, repeats=3)
    cli.add_memory_flag(parser)
    cli.add_flags(parser, "text")
    args = parser.parse_args()
    device = set_up(args.device, args.threads)
    limits = Limits(**cli.read_flags(args, "text"))
    work = Work.of(args.model, limits, args.inputs, AS_IN_TEXT, args.seed, device)
    end_by_context(work.teacher, work.data)
    sources = work.data.train.sources[: args.inputs]
    found = offline.compare(work.teacher, sources, work.longest, args.repeats, args.seed, args.gpu_memory)
    where = machine(device, args.threads)
    said = f"{args.inputs} inputs, source {limits.max_source_tokens}, target {work.longest}, {args.repeats} repeats"
    command.write(args, {**found, "machine": where}, report.offline_table(found, said, where))


if __name__ == "__main__":
    cli.run(main)
