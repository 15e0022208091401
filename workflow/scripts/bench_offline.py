"""Measure the speed of offline sampling from a task's teacher, with random weights: each engine beside a plain loop."""

import argparse

from fdistill.bench import command, offline, report
from fdistill.bench.machine import machine
from fdistill.bench.workload import AS_IN_TEXT, Workload, end_by_context
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.limits import Limits
from fdistill.runtime.device import set_up_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=arguments.model, required=True, metavar="JSON", help="a task's section `model`")
    parser.add_argument("--inputs", type=arguments.count, default=256, help="number of sources (default: 256)")
    command.add_flags(parser, repeats=3)
    cli.add_memory_flag(parser)
    schema_flags.add_flags(parser, "text")
    args = cli.parse(parser, "json", "table")
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    workload = Workload.random(args.model, limits, args.inputs, AS_IN_TEXT, args.seed, device)
    teacher, max_tokens = workload.teacher, workload.max_target_tokens
    end_by_context(teacher, workload.data)
    sources = workload.data.train.sources[: args.inputs]
    compared = offline.compare(teacher, sources, max_tokens, args.repeats, args.seed, args.gpu_memory)
    where = machine(device, args.threads)
    sizes = f"{args.inputs} inputs, source {limits.max_source_tokens}, target {max_tokens}, {args.repeats} repeats"
    command.write(args, {**compared, "machine": where}, report.offline_table(compared, sizes, where))


if __name__ == "__main__":
    cli.run(main)
