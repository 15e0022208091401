"""Reads what distillation learns from: the training split and unlabelled inputs, each with its stored sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from fdistill.artifacts.files import sha256
from fdistill.artifacts.records import MANIFEST
from fdistill.data.encoding import Encoded, read_split
from fdistill.data.limits import Limits
from fdistill.data.reencoding import model_of_tokens, reencoded
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.losses.sequences import TEACHER_SAMPLES, TEACHER_SEQUENCES
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.language_model import end_tokens
from fdistill.runtime.errors import UserError
from fdistill.sampling.teacher_cache import TeacherCache, cache_identity, joined, outputs_identity
from fdistill.training.micro_batches import TrainingData


@dataclass(frozen=True)
class Part:
    """A split that a student learns from, the files that were made of it, and how many of its rows these are of."""

    split: Path
    stored: dict[str, Path]  # by kind of sequence
    cache: Path | None
    max_examples: int | None

    @property
    def files(self) -> list[Path]:
        """The stored sequences and the cache."""
        return [*self.stored.values(), *([] if self.cache is None else [self.cache])]

    def hashes(self, prefix: str) -> dict[str, str]:
        """Return the hashes of the stored sequences and of the cache's manifest, by their names after a `prefix`."""
        files = self.stored | ({} if self.cache is None else {"teacher_cache": self.cache / MANIFEST})
        return {f"{prefix}{name}": sha256(file) for name, file in files.items()}


def read_stream(
    parts: Sequence[Part],
    student: Checkpoint,
    teacher: Path | None,
    limits: Limits,
    precision: str,
    device: str,
    include_original: bool = False,
    per_input: int | None = None,
) -> TrainingData:
    """Return the parts as the stream of a student's epochs (see `TrainingData`); the first one is the labelled split.

    All parts have the same kinds of stored sequences. `teacher` is the folder of the teacher, None of one from outside;
    `precision` and `device` are those of training, which a cache must have been made with. Raises UserError for files
    of another teacher or split, for `include_original` and `per_input` without stored sequences, and for a cache
    without its samples or with original pairs.
    """
    labelled = parts[0]
    if (include_original or per_input is not None) and not labelled.stored:
        raise UserError("--include-original, --per-input: no term learns from stored sequences; leave them out")
    if len({part.cache is None for part in parts}) > 1:
        raise UserError("--teacher-cache, --unlabelled-teacher-cache: one is missing; give both or none")
    if include_original and labelled.cache is not None:
        raise UserError("--include-original, --teacher-cache: a cache has no original pairs; leave one of the two out")

    # Outputs of a teacher from outside are its samples and its pseudo-labels alike.
    of_cache = TEACHER_SEQUENCES if teacher is None else (TEACHER_SAMPLES,)
    cached = tuple(kind for kind in of_cache if kind in labelled.stored)

    def read_sequences(kind: str, file: Path, split: Path, ids: list[str]) -> list[list[list[int]]]:
        model = student if teacher is None else model_of_tokens(file, teacher, student)
        sequences = read_samples(file, ids, sample_identity(teacher, model.tokenizer, split), kind)
        if model is student:
            return sequences
        return reencoded(sequences, model.tokenizer, end_tokens(model.config), student.tokenizer, limits, str(file))

    def read(part: Part) -> tuple[Encoded, dict[str, list[list[list[int]]]], TeacherCache | None]:
        split, _ = read_split(part.split, student, limits, part.max_examples)
        stored = {kind: read_sequences(kind, file, part.split, split.ids) for kind, file in part.stored.items()}
        if part.cache is None:
            return split, stored, None
        if not cached:
            raise UserError("--teacher-cache: no term of --terms learns from the sequences that it is of; leave it out")
        samples = part.stored[cached[0]]
        if teacher is None:
            return split, stored, TeacherCache(part.cache, outputs_identity(samples, split.ids))
        made_of = cache_identity(teacher, samples, split.ids, limits, precision, device)
        return split, stored, TeacherCache(part.cache, made_of)

    splits, stored, caches = zip(*map(read, parts), strict=True)
    return TrainingData(
        sum(splits[1:], start=splits[0]),
        {kind: list(chain.from_iterable(of_part[kind] for of_part in stored)) for kind in labelled.stored},
        None if labelled.cache is None else joined(caches),
        include_original,
        per_input,
        cached,
    )
