"""What a student learns from a batch: an objective's gradient, from sequences that are stored and that it draws."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from fdistill.losses.objectives import LABELS, SOURCE, STUDENT_SAMPLES, TEACHER_SAMPLES, Objective
from fdistill.models.language_model import Context, Decoded, LanguageModel
from fdistill.models.students import supervising_layers
from fdistill.runtime.distributed import Ranks
from fdistill.runtime.errors import UserError
from fdistill.runtime.precision import autocast
from fdistill.sampling.sampler import ANCESTRAL, SamplingConfig, mixed_seed, sample_batch
from fdistill.sampling.teacher_cache import stacked
from fdistill.training.batch_loss import Models, Pass, batch_loss
from fdistill.training.micro_batches import MicroBatch
from fdistill.training.step_parts import BACKWARD, LOSS, SAMPLING, STUDENT, TEACHER, step_part

# Random numbers come from (a number of these, seed, step, examples): they do not depend on who takes a step, or whether
# the run was interrupted before.
SAMPLES, DROPOUT = 1, 2


class Learner:
    """A student with an objective, and a fixed teacher if the objective compares distributions with one's."""

    def __init__(
        self,
        student: LanguageModel,
        teacher: LanguageModel | None,
        objective: Objective,
        sampling: SamplingConfig,
        precision: str,
        seed: int,
        ranks: Ranks,
    ):
        """`sampling` is how the student's samples are drawn; `seed` fixes them and dropout. UserError without a teacher
        that the objective needs.
        """
        if objective.needs_teacher and teacher is None:
            raise UserError("this method compares distributions with a teacher's; give --teacher")
        self.student, self.objective, self.sampling, self.seed, self.ranks = (
            student,
            objective,
            sampling,
            seed,
            ranks,
        )
        self.teacher = teacher if objective.needs_teacher else None  # seqkd loads none and runs none
        if self.teacher is not None:
            self.teacher.module.eval().requires_grad_(False)
        # Who shares weights needs the others' part whenever it runs the model.
        self.is_sharded = student.is_sharded or (self.teacher is not None and self.teacher.is_sharded)
        self.trainable = [p for p in student.module.parameters() if p.requires_grad]
        self.autocast = autocast(precision, student.device.type)
        self.tokens = 0  # valid positions of the last batch, of all workers

    def gradient(self, pieces: list[MicroBatch], step: int) -> list[float] | None:
        """Leave the gradient of an effective batch in the weights, the same for all workers; each piece's share in the
        loss.

        `step` decides what is drawn. None when the GPU memory of any worker was not enough and all can try again;
        torch's OutOfMemoryError when they cannot, as they share weights.
        """
        mine = list(range(self.ranks.rank, len(pieces), self.ranks.world_size))
        missing = -(-len(pieces) // self.ranks.world_size) - len(mine) if self.is_sharded else 0
        idle = [0] * missing  # run for the others' sake, and not counted
        alone = len(idle + mine) == 1
        sampled = self.together(lambda: {number: self.sampled(pieces[number], step, alone) for number in idle + mine})
        if sampled is None:
            return None
        counts: dict[str, Counter] = {kind: Counter() for kind in self.objective.sequences}
        for number in range(len(pieces)):
            for kind, count in sampled[number].items():
                counts[kind] += count
        self.tokens = sum(count[LABELS] for count in counts.values())
        self.student.module.train()

        def backwards() -> dict[int, float]:
            for number in idle:
                self.piece_gradient(pieces[number], counts, step, weight=0)
            return {number: self.piece_gradient(pieces[number], counts, step) for number in mine}

        losses = self.together(backwards)
        if losses is None:
            return None
        for weight in self.trainable:
            if weight.grad is None:  # of a worker that had no piece
                weight.grad = torch.zeros_like(weight)
        if not self.student.is_sharded:  # or it is done
            self.ranks.all_reduce(weight.grad for weight in self.trainable)
        return [losses[number] for number in range(len(pieces))]

    def sampled(self, piece: MicroBatch, step: int, alone: bool = False) -> dict[str, Counter]:
        """Draw the student's samples, if it learns from them; the piece's valid positions.

        Where the student has no dropout, it samples from what it will learn from: the source is encoded once. Not of
        several pieces, which would all be kept.
        """
        if STUDENT_SAMPLES in self.objective.sequences:
            with self.autocast, step_part(SAMPLING):
                if alone and self.sampling.mode == ANCESTRAL and not self.student.has_dropout:
                    piece.context = self.student.encode(piece.source, self.objective.needs_hidden)
                seed = (SAMPLES, self.seed, step)
                samples = sample_batch(self.student, piece.source, self.sampling, seed, piece.rows, piece.context)
            piece.labels[STUDENT_SAMPLES] = samples.labels
        return piece.counts()

    def together(self, work: Callable[[], dict]) -> dict | None:
        """What `work` gives, of all workers; None when the GPU memory of one was not enough and all can try again."""
        # Who stops amid shared weights leaves the others waiting for its part.
        return self.ranks.all_gather(work()) if self.is_sharded else self.ranks.all_gather_unless_oom(work)

    def piece_gradient(self, piece: MicroBatch, counts: dict[str, Counter], step: int, weight: float = 1) -> float:
        """Add a piece's gradient; its share in the loss."""
        torch.manual_seed(mixed_seed(DROPOUT, self.seed, step, *piece.rows))
        loss = weight * self.loss(piece, counts)
        with step_part(BACKWARD):
            loss.backward()
        return loss.item()

    def loss(self, batch: MicroBatch, counts: dict[str, Counter]) -> Tensor:
        """The objective on one micro-batch. Each model encodes the source once, whatever the number of halves."""
        hidden = self.objective.needs_hidden
        read = {kind for kind in batch.labels if self.objective.needs_teacher_on(kind)}
        run = read - ({TEACHER_SAMPLES} if batch.cached else set())
        with self.autocast:
            with step_part(STUDENT):
                student_context = batch.context or self.student.encode(batch.source, hidden)
                batch.context = None  # its graph serves once
            with torch.no_grad(), step_part(TEACHER):
                teacher_context = self.teacher.encode(batch.source, hidden) if run else None
            passes = {}
            for kind, labels in batch.labels.items():
                with step_part(STUDENT):
                    student = self.student.decode(student_context, labels, hidden)
                passes[kind] = Pass(labels, student.states, source_mask=batch.source.attention_mask)
                if kind in run:
                    with torch.no_grad(), step_part(TEACHER):
                        teacher = self.teacher.decode(teacher_context, labels, hidden)
                    passes[kind].teacher_states = teacher.states
                    if hidden:
                        pairs = hidden_pairs((student_context, student), (teacher_context, teacher))
                        passes[kind].hidden_pairs = pairs
                elif kind in read:
                    passes[kind] = replace(passes[kind], **stacked(batch.cached, labels.device))
        with step_part(LOSS):
            return batch_loss(self.objective, passes, counts, Models(self.student, self.teacher, self.autocast))


def hidden_pairs(
    student: tuple[Context, Decoded], teacher: tuple[Context, Decoded]
) -> list[tuple[Tensor, Tensor, str]]:
    """Student layer i beside teacher layer φ(i), for the encoder and the decoder (state 0 is the embedding output)."""
    pairs = []
    for part, positions in ((0, SOURCE), (1, LABELS)):
        student_states, teacher_states = student[part].hidden_states, teacher[part].hidden_states
        if not student_states:  # a decoder-only model has no encoder
            continue
        supervisors = supervising_layers(len(student_states) - 1, len(teacher_states) - 1)
        pairs += [(student_states[i + 1], teacher_states[j + 1], positions) for i, j in enumerate(supervisors)]
    return pairs
