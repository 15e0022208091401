"""The part that the training scripts share: train a model, and write it with its history and manifest."""

import argparse
import hashlib
import json
import logging
from typing import Any

from fdistill.artifacts.batch_store import BatchStore
from fdistill.artifacts.files import sha256, write_json_lines
from fdistill.artifacts.lineage import METHOD, TASK
from fdistill.artifacts.manifest import versions
from fdistill.config import schema_flags
from fdistill.config.schema import SAFEGUARDS
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.losses.objectives import Objective
from fdistill.models import fsdp
from fdistill.models.checkpoints import Checkpoint, save
from fdistill.models.tokenization import tokenizer_identity
from fdistill.runtime.device import name_of
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training import curves
from fdistill.training.micro_batches import TrainingData
from fdistill.training.selection import Selection, dev_scorer, kept
from fdistill.training.settings import TrainingSettings
from fdistill.training.sinks import Training
from fdistill.training.state import TrainingCheckpoints, code_identity, weights_identity
from fdistill.training.trainer import Trainer

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
    sharded: Checkpoint | None,
    lora: Any = None,
) -> None:
    """Train `student` with the flags of `cli.add_training_flags`; write the model with `manifest`, and its history.

    `teacher` is the one that the objective compares the student with, or that only its agreement is measured with.
    `sharded` is the one of both models that is FSDP-sharded: a task's teacher, which may be the model in training.
    `lora` is what `add_lora` returned of the student: its changes are merged into the weights before they are written.

    An interrupted run resumes from folder `args.checkpoints`, if it is given, and a complete run removes it. `manifest`
    has the hashes of the inputs; checkpoints of other inputs are not used.
    """
    limits = Limits(**schema_flags.read_flags(args, "text"))
    settings = TrainingSettings(**schema_flags.read_flags(args, "training"))
    selection = Selection(**schema_flags.read_flags(args, "selection", prefix="selection-"))
    training = {key: value for key, value in vars(settings).items() if key not in SAFEGUARDS}
    manifest = {"seed": args.seed, **manifest, "training": training, "versions": versions()}
    identity = manifest | {
        "start": weights_identity(student.model.module),
        "tokenizer": tokenizer_identity(student.tokenizer),
        "dev": sha256(args.dev),
        "text": vars(limits),
        "sampling": vars(sampling),
        "selection": vars(selection) | {"options": args.metric_options},
        "device": name_of(student.model.device),
        "code": code_identity(),
    }
    if sharded is not None:
        fsdp.shard(sharded.model, ranks)
    dev, columns = read_split(args.dev, student, limits)
    teacher_model = teacher.model if teacher else None
    # Ranks of a sharded model must run it equally often, so each evaluates the whole split instead of a part.
    evaluation_ranks = SINGLE_PROCESS if student.model.is_sharded else ranks
    score = dev_scorer(
        selection,
        student.tokenizer,
        dev,
        columns["references"],
        limits.max_target_tokens,
        args.metric_options,
        BatchStore(ranks=evaluation_ranks),
        teacher_model,
    )
    if teacher_model is not None and not objective.needs_teacher and not teacher_model.is_sharded:
        teacher_model.module.to("meta")  # its predictions are all that was needed: free its memory
    trainer = Trainer(student.model, teacher_model, objective, data, settings, sampling, args.seed, ranks)
    log.info("an epoch: %s; %d steps, in all %d", data.summary, trainer.epoch_steps, trainer.total_steps)
    if not trainer.total_steps:
        log.info("epochs is 0: nothing is trained, and the model is written as it starts")
    place = [manifest["lineage"][key] for key in (TASK, METHOD) if key in manifest["lineage"]]
    digest = hashlib.sha256(json.dumps([place, identity], sort_keys=True).encode()).hexdigest()
    run = Training("/".join([*place, f"seed{args.seed}"]), digest, args.curves)
    with (
        curves.opened(args.logging if ranks.is_main else {}, run) as sent,
        TrainingCheckpoints(args.checkpoints, identity, settings.checkpoint_minutes, ranks) as checkpoints,
    ):
        history = trainer.run(score, selection, checkpoints, sent)
    chosen = kept(history, selection)
    if chosen:
        metric, start = selection.metric, history[0]  # the evaluation before the first step
        value = f"{metric} {chosen['dev'][metric]:.4f}"
        what = f"{selection.keep} weights of the evaluations after step 0"
        log.info("kept: the %s, of step %d, development %s", what, chosen["step"], value)
        if trainer.plan.is_before_student(chosen):
            log.warning(
                "the kept weights have learnt nothing from the student's own sequences: no step up to theirs did; to "
                "compare schedules, keep the last ones (selection_overrides: {distill: {keep: last}} in the task)"
            )
        if selection.goodness(chosen) <= selection.goodness(start):
            log.warning(
                "training did not help: before its first step the development %s was %.4f; the trained weights are "
                "kept nevertheless. Look at learning_rate, warmup_steps and epochs",
                *(metric, start["dev"][metric]),
            )
    if lora is not None:
        lora.merge_and_unload()
    weights = trainer.weights() if student.model.is_sharded else None
    if ranks.is_main:
        save(student, args.model, manifest | {"kept_step": chosen["step"] if chosen else 0}, weights)
        write_json_lines(args.history, history, {"lineage": manifest["lineage"]})
    checkpoints.clear()
