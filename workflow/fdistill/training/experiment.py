"""What the training scripts share: read the data, train, write the model with its history and manifest."""

import argparse
import logging
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fdistill.artifacts.files import read_parquet, sha256, write_json_lines
from fdistill.artifacts.shards import Shards
from fdistill.config import cli
from fdistill.config.schema import SAFEGUARDS
from fdistill.data.batches import Encoded, Limits, encode_split
from fdistill.data.schemas import SPLIT
from fdistill.losses.objectives import Objective
from fdistill.models import fsdp
from fdistill.models.checkpoints import Checkpoint, save, tokenizer_identity
from fdistill.runtime.errors import UserError
from fdistill.runtime.ranks import ALONE, Workers
from fdistill.sampling.sampler import Drawing
from fdistill.training.micro_batches import TrainingData
from fdistill.training.selection import LAST, Selection, dev_scorer
from fdistill.training.state import Checkpoints, code_identity, weights_identity
from fdistill.training.trainer import Trainer, TrainingSettings

log = logging.getLogger(__name__)


def set_up(device: str, threads: int) -> str:
    """Fix the number of threads and make results repeatable; returns the device that `device` stands for."""
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms, which would load the compiler
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no GPU here; use auto or cpu")
    return device


def read_split(
    path: Path, checkpoint: Checkpoint, limits: Limits, max_examples: int | None = None
) -> tuple[Encoded, dict[str, list]]:
    """A prepared split as token ids of the checkpoint's tokenizer, and its text columns.

    With `max_examples`, that many of its rows, evenly spread: every stage that asks for the same number gets the same.
    """
    check_positions(checkpoint, limits)
    columns, _ = read_parquet(path, SPLIT)
    size = len(columns["id"])
    if max_examples is not None and max_examples < size:
        rows = [i * size // max_examples for i in range(max_examples)]
        columns = {name: [values[row] for row in rows] for name, values in columns.items()}
    return encode_split(columns, checkpoint.tokenizer, limits, str(path)), columns


def check_positions(checkpoint: Checkpoint, limits: Limits) -> None:
    """UserError when texts within `limits` can be longer than the positions that the model has."""
    model = checkpoint.model
    if model.family.positions_key is None:
        return
    positions = getattr(model.module.config, model.family.positions_key)
    source, target = limits.max_source_tokens, limits.max_target_tokens
    if model.family.is_encoder_decoder:
        longest, words = max(source, target), "the larger of max_source_tokens and max_target_tokens"
    else:
        longest, words = source + target, "max_source_tokens + max_target_tokens"
    if longest > positions:
        raise UserError(
            f"text: {words} is {longest}, but the model has {positions} positions ({model.family.positions_key}); "
            "lower the lengths"
        )


def train_and_save(
    args: argparse.Namespace,
    student: Checkpoint,
    teacher: Checkpoint | None,
    objective: Objective,
    data: TrainingData,
    drawing: Drawing,
    workers: Workers,
    manifest: dict[str, Any],
) -> None:
    """Train `student` as `args` (of `cli.add_training_flags`) say; write it with `manifest`, and its curve.

    With `args.shard_teacher` the workers share the teacher's weights: of the one that `student` learns from, or of
    `student` itself where that is the teacher and learns from none. A run that was cut off goes on from folder
    `args.checkpoints`, if one is given, and removes it at its end. `manifest` names the inputs by their hashes: a state
    made from others is not used.
    """
    limits = Limits(**cli.read_flags(args, "text"))
    settings = TrainingSettings(**cli.read_flags(args, "training"))
    selection = Selection(**cli.read_flags(args, "selection", prefix="selection-"))
    training = {key: value for key, value in vars(settings).items() if key not in SAFEGUARDS}
    manifest = {"seed": args.seed, **manifest, "training": training, "versions": versions()}
    identity = manifest | {
        "start": weights_identity(student.model.module),
        "tokenizer": tokenizer_identity(student.tokenizer),
        "dev": sha256(args.dev),
        "text": vars(limits),
        "drawing": vars(drawing),
        "selection": vars(selection) | {"options": args.metric_options},
        "device": student.model.device.type,
        "code": code_identity(),
    }
    if args.shard_teacher:
        fsdp.shard((teacher or student).model, workers)
    dev, columns = read_split(args.dev, student, limits)
    # Who shares weights runs the model as often as the others do: not on a part of the split.
    evaluating = ALONE if student.model.is_sharded else workers
    score = dev_scorer(
        selection,
        student.tokenizer,
        dev,
        columns["references"],
        limits.max_target_tokens,
        args.metric_options,
        Shards(workers=evaluating),
    )
    teacher_model = teacher.model if teacher else None
    trainer = Trainer(student.model, teacher_model, objective, data, settings, drawing, args.seed, workers)
    with Checkpoints(args.checkpoints, identity, settings.checkpoint_minutes, workers) as kept:
        lines = trainer.run(score, selection.metric, selection.higher_is_better, selection.keep == LAST, kept)
    weights = trainer.weights()
    if workers.is_first:
        save(student, args.model, manifest, weights)
        write_json_lines(args.history, lines, {"lineage": manifest["lineage"]})
    kept.clear()


def versions() -> dict[str, str]:
    """The versions that decide what a model's numbers are."""
    packages = ("fdistill", "torch", "transformers", "tokenizers")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
