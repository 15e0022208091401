"""Measure what the mixture of JS does to training: the exact one (Eq. 12) beside the step-wise one (Eq. 11).

At the weights that training starts from: the weight of the teacher in the exact mixture along sampled sequences, and
the signal and the noise of a step's gradient by each method.
"""

import argparse
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.config import cli
from fdistill.losses.sequences import STUDENT_SAMPLES, TEACHER_SAMPLES
from fdistill.training.first_gradients import first_gradients, mixture_weights
from fdistill.training.start import add_start_flags, read_start

STEPS = 40  # gradients per method: their noise is then known to about a tenth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_start_flags(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = cli.parse(parser, "output")

    start = read_start(args)
    gradients = {}
    for method, terms in args.methods.items():
        gradients[method], batches = first_gradients(start.trainer(terms), STEPS)
    models = start.student, start.teacher
    weights = {kind: mixture_weights(*models, batches, kind) for kind in (TEACHER_SAMPLES, STUDENT_SAMPLES)}
    content = {"task": args.task, "weights": weights, "gradients": gradients, "lineage": start.lineage}
    write_json(args.output, content)


if __name__ == "__main__":
    cli.run(main)
