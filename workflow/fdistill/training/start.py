"""Where a study's distillation starts from, for measurements of its first steps: models, training split and samples."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.artifacts.lineage import common_lineage
from fdistill.config import arguments, cli, schema_flags
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import TEACHER_SAMPLES
from fdistill.models import checkpoints
from fdistill.models.language_model import LanguageModel
from fdistill.models.vocabularies import check_same_vocabulary
from fdistill.runtime.device import set_up_device
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import TrainingData
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer


@dataclass(frozen=True)
class Start:
    """The models, data and settings that every method's training starts with."""

    student: LanguageModel
    teacher: LanguageModel
    data: TrainingData
    settings: TrainingSettings
    sampling: SamplingConfig
    seed: int
    lineage: dict[str, Any]

    def trainer(self, terms: Sequence[dict[str, Any]]) -> Trainer:
        """Return a trainer of the student by a method's `terms`; all trainers share the student's weights."""
        objective = Objective.from_config(terms)
        return Trainer(self.student, self.teacher, objective, self.data, self.settings, self.sampling, self.seed)


def add_start_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--methods`, the flags of what `read_start` reads, the run's, and sections `text` and `training`."""
    parser.add_argument(
        "--methods", type=arguments.terms_by_method, required=True, metavar="JSON",
        help='terms by method: {"js": [...], ...}',
    )  # fmt: skip
    parser.add_argument("--start", type=Path, required=True, help="folder of the model that training starts from")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument(
        "--teacher-samples", type=Path, required=True, help="stored samples of the training split, Parquet"
    )
    cli.add_place_flags(parser, method=False)
    cli.add_run_flags(parser)
    schema_flags.add_flags(parser, "text")
    schema_flags.add_flags(parser, "training")


def read_start(args: argparse.Namespace) -> Start:
    """Read what the flags of `add_start_flags` name.

    Raises UserError for files of different tasks, teachers or seeds, and for a teacher with another vocabulary.
    """
    inputs = (args.train, args.teacher_samples)
    lineage = common_lineage(*inputs, teacher=args.teacher, start=args.start, seed=args.seed, task=args.task)
    device = set_up_device(args.device, args.threads)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    student, teacher = checkpoints.load(args.start, device), checkpoints.load(args.teacher, device)
    check_same_vocabulary(teacher, student)
    train, _ = read_split(args.train, student, limits, args.max_examples)
    identity = sample_identity(args.teacher, student.tokenizer, args.train)
    samples = read_samples(args.teacher_samples, train.ids, identity, TEACHER_SAMPLES)
    return Start(
        student=student.model,
        teacher=teacher.model,
        data=TrainingData(train, {TEACHER_SAMPLES: samples}),
        settings=TrainingSettings(**schema_flags.read_flags(args, "training")),
        sampling=SamplingConfig(limits.max_target_tokens),
        seed=args.seed,
        lineage=lineage,
    )
