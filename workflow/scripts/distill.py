"""Train a student by one method: pre-distillation, MLE, or any distillation objective."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.contributions import CONTRIBUTIONS, contributions
from fdistill.artifacts.files import sha256
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.artifacts.records import MANIFEST
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.encoding import Limits, read_split
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.losses.objectives import FROM_STUDENT, STORED_SEQUENCES, Objective
from fdistill.models import checkpoints
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from fdistill.sampling.teacher_cache import TeacherCache, cache_identity
from fdistill.training.experiment import train_and_save
from fdistill.training.micro_batches import TrainingData


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--terms",
        type=arguments.terms,
        required=True,
        metavar="JSON",
        help="the objective: a list of terms as in config/methods.yaml",
    )
    parser.add_argument(
        "--schedule",
        type=arguments.schedule,
        metavar="JSON",
        help="which steps use the terms on the student's own sequences, as in config/methods.yaml",
    )
    schema_flags.add_flags(parser, "method", keys=("reduction", "replay_size"))
    parser.add_argument("--start", type=Path, required=True, help="folder of the model to start from")
    parser.add_argument("--start-method", help="the key of the method that made it (default: any)")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    for kind in STORED_SEQUENCES:
        parser.add_argument(
            f"--{kind.replace('_', '-')}", type=Path, help=f"stored {kind} of the training split, Parquet"
        )
    parser.add_argument(
        "--teacher-cache", type=Path, help="folder that cache_teacher wrote, read instead of running the teacher"
    )
    schema_flags.add_flags(parser, "sampling", prefix="student-samples-")
    cli.add_training_flags(parser)
    args = cli.parse(parser, "model", "history")
    optional = filter(None, (*(getattr(args, kind) for kind in STORED_SEQUENCES), args.teacher_cache))
    inputs = (args.train, args.dev, *optional)
    check_splits(train=args.train, dev=args.dev)
    place = {"seed": args.seed, "task": args.task, "method": args.method}
    lineage = common_lineage(*inputs, teacher=args.teacher, start=args.start, start_method=args.start_method, **place)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    objective = Objective.from_config(args.terms, args.schedule, reduction=args.reduction, replay_size=args.replay_size)
    for mixture in objective.mixtures:
        logging.info(mixture)
    settings = schema_flags.read_flags(args, "sampling", prefix="student-samples-")
    sampling = SamplingConfig.from_settings(settings, limits.max_target_tokens)

    student = checkpoints.load(args.start, device)
    teacher = None
    if objective.needs_teacher or args.selection_agreement_top_k:
        teacher = checkpoints.load(args.teacher, device)
        try:
            checkpoints.check_same_vocabulary(teacher, student)
        except UserError as error:
            if objective.needs_teacher:
                raise
            logging.info("agreement with the teacher is not measured: %s", error)
            teacher = None
    train, _ = read_split(args.train, student, limits, args.max_examples)
    identity = sample_identity(args.teacher, student.tokenizer, args.train)
    stored, hashes = {}, {}
    for kind in (k for k in STORED_SEQUENCES if k in objective.sequences):
        if getattr(args, kind) is None:
            raise UserError(f"--{kind.replace('_', '-')}: missing; a term of --terms learns from {kind}")
        stored[kind] = read_samples(getattr(args, kind), train.ids, identity, kind)
        hashes[kind] = sha256(getattr(args, kind))
    cache = None
    if args.teacher_cache is not None:
        cached = (args.teacher, args.teacher_samples, train.ids, limits, args.precision, device)
        cache = TeacherCache(args.teacher_cache, cache_identity(*cached))
        hashes["teacher_cache"] = sha256(args.teacher_cache / MANIFEST)
    manifest = {
        "stage": "distill",
        "lineage": lineage,
        "terms": args.terms,
        "objective": {"reduction": args.reduction, "schedule": args.schedule, "replay_size": args.replay_size},
        "student_samples": vars(sampling) if {*FROM_STUDENT} & {*objective.sequences} else None,
        "inputs": identity | {"start": model_identity(args.start)} | hashes,
        "layers": manifest_of(args.start).get("layers"),  # of the untrained student, which the model card names
        CONTRIBUTIONS: contributions(args.start, *(getattr(args, kind) for kind in stored)),
    }
    train_and_save(args, student, teacher, objective, TrainingData(train, stored, cache), sampling, ranks, manifest)


if __name__ == "__main__":
    cli.run(main)
