"""Measure what it costs to sample from the teacher during training: an offline method's step beside its online one's.

Models, training split and offline samples are those of a study, at the weights that training starts from. Of the
methods, two that differ in teacher_samples and online_teacher_samples make a pair.
"""

import argparse
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.bench import online
from fdistill.bench.machine import machine
from fdistill.config import arguments, cli
from fdistill.training.start import add_start_flags, read_start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_start_flags(parser)
    parser.add_argument(
        "--steps", type=arguments.count, default=40, help="measured steps of each method (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = cli.parse(parser, "output")

    pairs = online.pairs(args.methods)
    start = read_start(args)
    measured = []
    for methods in ({online.OFFLINE: offline, online.ONLINE: other} for offline, other in pairs.items()):
        trainers = {kind: start.trainer(args.methods[method]) for kind, method in methods.items()}
        measured.append(methods | online.compare(trainers, args.steps))
    on = machine(start.student.device.type, args.threads)
    content = {"task": args.task, "pairs": measured, "steps": args.steps, "machine": on, "lineage": start.lineage}
    write_json(args.output, content)


if __name__ == "__main__":
    cli.run(main)
