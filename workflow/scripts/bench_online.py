"""Measure what it costs to sample from the teacher during training: an offline method's step beside its online one's.

Models, training split and offline samples are those of a study, at the weights that training starts from.
"""

import argparse
from pathlib import Path

from fdistill.artifacts.files import write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.bench import online
from fdistill.bench.machine import machine
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.encoding import Limits, read_split
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.losses.objectives import TEACHER_SAMPLES, Objective
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up_device
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import TrainingData
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--methods", type=arguments.terms_by_method, required=True, metavar="JSON",
        help='terms by method, of pairs that differ in teacher_samples and online_teacher_samples: {"js": [...], ...}',
    )  # fmt: skip
    parser.add_argument("--start", type=Path, required=True, help="folder of the model that training starts from")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument(
        "--teacher-samples", type=Path, required=True, help="stored samples of the training split, Parquet"
    )
    parser.add_argument(
        "--steps", type=arguments.count, default=40, help="measured steps of each method (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    cli.add_place_flags(parser, method=False)
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    schema_flags.add_flags(parser, "training")
    args = cli.parse(parser, "output")

    pairs = online.pairs(args.methods)
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

    def trainer(method: str) -> Trainer:
        objective = Objective.from_config(args.methods[method])
        return Trainer(student.model, teacher.model, objective, data, settings, sampling, args.seed)

    measured = []
    for methods in ({online.OFFLINE: offline, online.ONLINE: other} for offline, other in pairs.items()):
        trainers = {kind: trainer(method) for kind, method in methods.items()}
        measured.append(methods | online.compare(trainers, args.steps))
    content = {"task": args.task, "pairs": measured, "steps": args.steps, "machine": machine(device, args.threads)}
    write_json(args.output, content | {"lineage": lineage})


if __name__ == "__main__":
    cli.run(main)
