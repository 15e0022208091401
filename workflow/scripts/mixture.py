"""Measure what the mixture of JS does to training: the exact one (Eq. 12) beside the step-wise one (Eq. 11).

At the weights that training starts from: the weight of the teacher in the exact mixture along sampled sequences, and
the signal and the noise of a step's gradient by each method.
"""

import argparse
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.encoding import Limits, read_split
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.losses.objectives import STUDENT_SAMPLES, TEACHER_SAMPLES, Objective
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up_device
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.first_gradients import first_gradients, mixture_weights
from fdistill.training.micro_batches import TrainingData
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer

STEPS = 40  # gradients per method: their noise is then known to about a tenth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--methods", type=arguments.terms_by_method, required=True, metavar="JSON", help="terms by method"
    )
    parser.add_argument("--start", type=Path, required=True, help="folder of the model that training starts from")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument(
        "--teacher-samples", type=Path, required=True, help="stored samples of the training split, Parquet"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    cli.add_place_flags(parser, method=False)
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    schema_flags.add_flags(parser, "training")
    args = cli.parse(parser, "output")

    inputs = (args.train, args.teacher_samples)
    lineage = common_lineage(*inputs, teacher=args.teacher, start=args.start, seed=args.seed, task=args.task)
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    student, teacher = checkpoints.load(args.start, device), checkpoints.load(args.teacher, device)
    checkpoints.check_same_vocabulary(teacher, student)
    train, _ = read_split(args.train, student, limits, args.max_examples)
    identity = sample_identity(args.teacher, student.tokenizer, args.train)
    samples = read_samples(args.teacher_samples, train.ids, identity, TEACHER_SAMPLES)
    data, sampling = TrainingData(train, {TEACHER_SAMPLES: samples}), SamplingConfig(limits.max_target_tokens)
    settings = TrainingSettings(**schema_flags.read_flags(args, "training"))

    models = student.model, teacher.model
    gradients = {}
    for method, terms in args.methods.items():
        trainer = Trainer(*models, Objective.from_config(terms), data, settings, sampling, args.seed)
        gradients[method], batches = first_gradients(trainer, STEPS)
    weights = {kind: mixture_weights(*models, batches, kind) for kind in (TEACHER_SAMPLES, STUDENT_SAMPLES)}
    write_json(args.output, {"task": args.task, "weights": weights, "gradients": gradients, "lineage": lineage})


if __name__ == "__main__":
    cli.run(main)
