"""What the training scripts share: read the data, train, write the model with its history and manifest."""

import argparse
import logging
from typing import Any

from fdistill.artifacts.batch_store import BatchStore
from fdistill.artifacts.files import sha256, write_json_lines
from fdistill.artifacts.manifest import versions
from fdistill.config import cli
from fdistill.config.schema import SAFEGUARDS
from fdistill.data.encoding import Limits, read_split
from fdistill.losses.objectives import Objective
from fdistill.models import fsdp
from fdistill.models.checkpoints import Checkpoint, save, tokenizer_identity
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import TrainingData
from fdistill.training.selection import LAST, Selection, dev_scorer
from fdistill.training.state import Checkpoints, code_identity, weights_identity
from fdistill.training.trainer import Trainer, TrainingSettings

log = logging.getLogger(__name__)


def train_and_save(
    args: argparse.Namespace,
    student: Checkpoint,
    teacher: Checkpoint | None,
    objective: Objective,
    data: TrainingData,
    sampling: SamplingConfig,
    ranks: Ranks,
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
        "sampling": vars(sampling),
        "selection": vars(selection) | {"options": args.metric_options},
        "device": student.model.device.type,
        "code": code_identity(),
    }
    if args.shard_teacher:
        fsdp.shard((teacher or student).model, ranks)
    dev, columns = read_split(args.dev, student, limits)
    # Who shares weights runs the model as often as the others do: not on a part of the split.
    evaluating = SINGLE_PROCESS if student.model.is_sharded else ranks
    score = dev_scorer(
        selection,
        student.tokenizer,
        dev,
        columns["references"],
        limits.max_target_tokens,
        args.metric_options,
        BatchStore(ranks=evaluating),
    )
    teacher_model = teacher.model if teacher else None
    trainer = Trainer(student.model, teacher_model, objective, data, settings, sampling, args.seed, ranks)
    with Checkpoints(args.checkpoints, identity, settings.checkpoint_minutes, ranks) as kept:
        lines = trainer.run(score, selection.metric, selection.higher_is_better, selection.keep == LAST, kept)
    weights = trainer.weights()
    if ranks.is_main:
        save(student, args.model, manifest, weights)
        write_json_lines(args.history, lines, {"lineage": manifest["lineage"]})
    kept.clear()
