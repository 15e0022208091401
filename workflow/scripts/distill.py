"""Train a student by one method: pre-distillation, MLE, or any distillation objective."""

import argparse
import logging
from pathlib import Path

from fdistill.artifacts.contributions import CONTRIBUTIONS, contributions
from fdistill.artifacts.files import sha256
from fdistill.artifacts.lineage import check_splits, common_lineage
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.config import arguments, cli, schema_flags
from fdistill.config.unlabelled import needs_labels
from fdistill.data.limits import Limits
from fdistill.data.sample_identity import sample_identity
from fdistill.data.sources import UNLABELLED
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import FROM_STUDENT, STORED_SEQUENCES, TEACHER_SEQUENCES
from fdistill.models import checkpoints
from fdistill.models.vocabularies import check_same_vocabulary
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.experiment import train_and_save
from fdistill.training.stream import Part, read_stream


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
    parser.add_argument("--teacher", type=Path, help="folder of the teacher (default: none, it is a file of outputs)")
    for kind in STORED_SEQUENCES:
        parser.add_argument(
            f"--{kind.replace('_', '-')}", type=Path, help=f"stored {kind} of the training split, Parquet"
        )
    parser.add_argument(
        "--teacher-cache", type=Path, help="folder that cache_teacher wrote, read instead of running the teacher"
    )
    parser.add_argument("--unlabelled", type=Path, help="unlabelled inputs, Parquet, that the student learns from too")
    for kind in TEACHER_SEQUENCES:
        parser.add_argument(
            f"--unlabelled-{kind.replace('_', '-')}", type=Path, help=f"stored {kind} of the unlabelled inputs, Parquet"
        )
    parser.add_argument("--unlabelled-teacher-cache", type=Path, help="likewise the cache of the unlabelled inputs")
    parser.add_argument(
        "--include-original",
        action="store_true",
        help="every epoch has each labelled input once more, with its own target in the place of the stored sequence",
    )
    parser.add_argument(
        "--per-input", type=arguments.count, help="stored sequences per input that are used in turn (default: all)"
    )
    schema_flags.add_flags(parser, "sampling", prefix="student-samples-")
    cli.add_training_flags(parser)
    args = cli.parse(parser, "model", "history")
    objective = Objective.from_config(args.terms, args.schedule, reduction=args.reduction, replay_size=args.replay_size)
    parts = parts_of(args, objective)
    splits = {"train": args.train, "dev": args.dev} | ({} if args.unlabelled is None else {UNLABELLED: args.unlabelled})
    check_splits(**splits)
    inputs = (*splits.values(), *(file for part in parts.values() for file in part.files))
    place = {"seed": args.seed, "task": args.task, "method": args.method}
    lineage = common_lineage(*inputs, teacher=args.teacher, start=args.start, start_method=args.start_method, **place)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    for mixture in objective.mixtures:
        logging.info(mixture)
    settings = schema_flags.read_flags(args, "sampling", prefix="student-samples-")
    sampling = SamplingConfig.from_settings(settings, limits.max_target_tokens)

    student = checkpoints.load(args.start, device)
    teacher = None
    if args.teacher is not None and (objective.needs_teacher or args.selection_agreement_top_k):
        teacher = checkpoints.load(args.teacher, device)
        try:
            check_same_vocabulary(teacher, student)
        except UserError as error:
            if objective.needs_teacher:
                raise
            logging.info("agreement with the teacher is not measured: %s", error)
            teacher = None
    use = {"include_original": args.include_original, "per_input": args.per_input}
    data = read_stream(list(parts.values()), student, args.teacher, limits, args.precision, device, **use)
    manifest = {
        "stage": "distill",
        "lineage": lineage,
        "terms": args.terms,
        "objective": {"reduction": args.reduction, "schedule": args.schedule, "replay_size": args.replay_size},
        "student_samples": vars(sampling) if {*FROM_STUDENT} & {*objective.sequences} else None,
        "inputs": sample_identity(args.teacher, student.tokenizer, args.train)
        | {"start": model_identity(args.start)}
        | ({} if args.unlabelled is None else {UNLABELLED: sha256(args.unlabelled)})
        | {name: digest for prefix, part in parts.items() for name, digest in part.hashes(prefix).items()},
        **({"stream": use} if any(use.values()) else {}),
        "layers": manifest_of(args.start).get("layers"),  # of the untrained student, which the model card names
        CONTRIBUTIONS: contributions(args.start, *(file for part in parts.values() for file in part.stored.values())),
    }
    sharded = teacher if args.shard_teacher else None
    train_and_save(args, student, teacher, objective, data, sampling, ranks, manifest, sharded)


def parts_of(args: argparse.Namespace, objective: Objective) -> dict[str, Part]:
    """Return the splits that the student learns from, by the prefix of their arguments; UserError if a file is missing.

    The prefix of the training split is empty.
    """
    splits = {"": (args.train, args.max_examples)}
    if args.unlabelled is not None:
        if labels := needs_labels({"terms": args.terms}):
            raise UserError(f"--unlabelled: its inputs have no {labels[0]}, from which a term learns; leave it out")
        splits["unlabelled_"] = (args.unlabelled, args.max_unlabelled)
    parts = {}
    for prefix, (split, rows) in splits.items():
        stored = {kind: getattr(args, f"{prefix}{kind}") for kind in STORED_SEQUENCES if kind in objective.sequences}
        for kind in (kind for kind, file in stored.items() if file is None):
            flag = f"--{prefix}{kind}".replace("_", "-")
            raise UserError(f"{flag}: missing; a term of --terms learns from {kind}")
        parts[prefix] = Part(split, stored, getattr(args, f"{prefix}teacher_cache"), rows)
    return parts


if __name__ == "__main__":
    cli.run(main)
