"""The gradient of an objective on an effective batch, computed by one or several ranks."""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fdistill.losses.inputs import LABELS
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import ONLINE_TEACHER_SAMPLES, REPLAYED_SAMPLES
from fdistill.models.language_model import LanguageModel
from fdistill.models.shared_encoder import has_frozen_encoder, is_shared_encoder, share_encoder
from fdistill.models.students import check_same_heads
from fdistill.runtime.distributed import Ranks
from fdistill.runtime.errors import UserError
from fdistill.runtime.precision import autocast
from fdistill.sampling.sampler import ANCESTRAL, SamplingConfig, mixed_seed, sample_batch
from fdistill.sampling.teacher_cache import concatenate
from fdistill.training.batch_loss import Models, SequenceOutputs, batch_loss
from fdistill.training.layer_pairs import attention_pairs, hidden_pairs
from fdistill.training.micro_batches import MicroBatch
from fdistill.training.step_parts import BACKWARD, LOSS, SAMPLING, STUDENT, TEACHER, step_part

log = logging.getLogger(__name__)

# Seeds consist of one of these numbers, the run's seed, the step and the examples. Random numbers therefore depend
# neither on the rank that uses them nor on whether the run was interrupted before.
SAMPLES, DROPOUT, OF_TEACHER = 1, 2, 3


class Learner:
    """A student with its objective and, if the objective compares distributions, a fixed teacher."""

    def __init__(
        self,
        student: LanguageModel,
        teacher: LanguageModel | None,
        objective: Objective,
        sampling: SamplingConfig,
        precision: str,
        seed: int,
        ranks: Ranks,
        cached: Collection[str] = (),
    ):
        """`sampling` says how the student is sampled; `seed` determines samples and dropout.

        `cached` are the kinds of sequence on which the teacher's distributions come with the micro-batches.

        Raises UserError when the objective needs a teacher and there is none, when it compares the attention of models
        that have other numbers of heads or only a decoder, and as `SamplingConfig.check_vocabulary` does.
        """
        sampling.check_vocabulary(student)
        if objective.runs_teacher_besides(cached) and teacher is None:
            raise UserError("this method compares the student's distributions with a teacher's; give --teacher")
        self.student, self.objective, self.sampling, self.seed, self.ranks = (
            student,
            objective,
            sampling,
            seed,
            ranks,
        )
        self.cached = cached
        self.teacher = teacher if objective.needs_teacher else None  # seqkd does not run it
        if self.teacher is not None:
            self.teacher.module.eval().requires_grad_(False)
        self.needs_layers = objective.needs_hidden or objective.needs_attentions
        if objective.needs_attentions:
            check_same_heads(student, teacher)
            student.report_attentions()
            teacher.report_attentions()
        # A forward pass of an FSDP-sharded model is a collective operation.
        self.is_sharded = student.is_sharded or (self.teacher is not None and self.teacher.is_sharded)
        self.trainable = [p for p in student.module.parameters() if p.requires_grad]
        self.has_frozen_encoder = has_frozen_encoder(student)
        # The encoder then runs once for both models (Shleifer & Rush 2020, footnote 6).
        self.shares_encoder = (
            self.has_frozen_encoder
            and self.teacher is not None
            and not self.is_sharded
            and is_shared_encoder(student, self.teacher)
        )
        if self.shares_encoder:
            share_encoder(student, self.teacher)
            log.info("the student's encoder is a frozen copy of the teacher's: it runs once for both")
        self.autocast = autocast(precision, student.device.type)
        self.tokens = 0  # valid label positions of the last effective batch, on all ranks
        # The last effective batch's samples that may be replayed: rows of the training split with token ids
        self.replayable: list[tuple[int, list[int]]] = []

    def gradient(self, micro_batches: list[MicroBatch], step: int) -> list[float] | None:
        """Leave the gradient of an effective batch in the weights of every rank; return each micro-batch's loss.

        The losses add up to that of the effective batch. `step` determines samples and dropout. Returns None when the
        GPU memory of any rank was not enough and all ranks can try again. Sharded ranks cannot, and raise torch's
        OutOfMemoryError.
        """
        world_size = self.ranks.world_size
        own = list(range(self.ranks.rank, len(micro_batches), world_size))
        # Sharded ranks must run the models equally often: ranks with fewer micro-batches repeat one with weight 0.
        missing = -(-len(micro_batches) // world_size) - len(own) if self.is_sharded else 0
        padding = [0] * missing
        is_single = len(padding + own) == 1
        gathered_counts = self._on_all_ranks(
            lambda: {i: self.sample_and_count(micro_batches[i], step, is_single) for i in padding + own}
        )
        if gathered_counts is None:
            return None
        if REPLAYED_SAMPLES in micro_batches[0].labels:
            samples = self.ranks.all_gather({i: micro_batches[i].sequences(REPLAYED_SAMPLES) for i in own})
            self.replayable = [pair for i in range(len(micro_batches)) for pair in samples[i]]
        counts: dict[str, Counter] = {kind: Counter() for kind in micro_batches[0].labels}
        for i in range(len(micro_batches)):
            for kind, count in gathered_counts[i].items():
                counts[kind] += count
        self.tokens = sum(count[LABELS] for count in counts.values())
        self.student.module.train()
        if self.has_frozen_encoder:  # without dropout, as the teacher's: nothing in it is trained
            self.student.module.get_encoder().eval()

        def add_own_gradients() -> dict[int, float]:
            for i in padding:
                self.add_gradient(micro_batches[i], counts, step, weight=0)
            return {i: self.add_gradient(micro_batches[i], counts, step) for i in own}

        losses = self._on_all_ranks(add_own_gradients)
        if losses is None:
            return None
        for weight in self.trainable:
            if weight.grad is None:  # on a rank without a micro-batch
                weight.grad = torch.zeros_like(weight)
        if not self.student.is_sharded:  # FSDP has reduced the gradients already
            self.ranks.all_reduce(weight.grad for weight in self.trainable)
        return [losses[i] for i in range(len(micro_batches))]

    def sample_and_count(self, micro_batch: MicroBatch, step: int, is_single: bool = False) -> dict[str, Counter]:
        """Sample the sequences that a micro-batch lacks; return its valid positions.

        A student without dropout samples from the same encoding that it learns from, so that sources are encoded once.
        This is done for a single micro-batch only, since the encodings of several would be in memory together.
        """
        for kind in [kind for kind, labels in micro_batch.labels.items() if labels is None]:
            of_teacher = kind == ONLINE_TEACHER_SAMPLES
            model = self.teacher if of_teacher else self.student
            sampling = SamplingConfig(self.sampling.max_new_tokens) if of_teacher else self.sampling
            with self.autocast, step_part(SAMPLING):
                context = None
                if is_single and not of_teacher and sampling.mode == ANCESTRAL and not self.student.has_dropout:
                    context = micro_batch.context = self.student.encode(micro_batch.source, self.needs_layers)
                seed = (OF_TEACHER if of_teacher else SAMPLES, self.seed, step)
                samples = sample_batch(model, micro_batch.source, sampling, seed, micro_batch.rows, context)
            micro_batch.labels[kind] = samples.labels
        return micro_batch.counts()

    def _on_all_ranks(self, function: Callable[[], dict[int, Any]]) -> dict[int, Any] | None:
        """Call `function` on every rank and return the results of all; None when one ran out of GPU memory.

        Sharded ranks raise the error instead: the other ranks are in a collective operation, which cannot be left.
        """
        return self.ranks.all_gather(function()) if self.is_sharded else self.ranks.all_gather_unless_oom(function)

    def add_gradient(self, micro_batch: MicroBatch, counts: dict[str, Counter], step: int, weight: float = 1) -> float:
        """Add the gradient of weight · loss of a micro-batch to the weights; return weight · loss."""
        torch.manual_seed(mixed_seed(DROPOUT, self.seed, step, *micro_batch.rows))
        loss = weight * self.loss(micro_batch, counts)
        with step_part(BACKWARD):
            loss.backward()
        return loss.item()

    def loss(self, micro_batch: MicroBatch, counts: dict[str, Counter]) -> Tensor:
        """Return a micro-batch's share of the objective; each model encodes a source once for all kinds of sequence.

        `counts` are the valid positions of the effective batch (see `Term.evaluate`).
        """
        needs_layers, source = self.needs_layers, micro_batch.source
        with_teacher = {kind for kind in micro_batch.labels if self.objective.needs_teacher_on(kind)}
        from_cache = with_teacher & {*self.cached} if micro_batch.cached_distributions else set()
        from_model = with_teacher - from_cache
        with self.autocast:
            with step_part(STUDENT):
                student_context = micro_batch.context or self.student.encode(source, needs_layers)
                micro_batch.context = None  # its graph can be used for one backward pass only
            teacher_context = student_context if self.shares_encoder else None
            if from_model and not self.shares_encoder:
                with torch.no_grad(), step_part(TEACHER):
                    teacher_context = self.teacher.encode(source, needs_layers)
            outputs = {}
            for kind, labels in micro_batch.labels.items():
                with step_part(STUDENT):
                    student = self.student.decode(student_context, labels, needs_layers)
                outputs[kind] = SequenceOutputs(labels, student.states, source_mask=source.attention_mask)
                if kind in from_model:
                    with torch.no_grad(), step_part(TEACHER):
                        teacher = self.teacher.decode(teacher_context, labels, needs_layers)
                    outputs[kind].teacher_states = teacher.states
                    if needs_layers:
                        both = (student_context, student), (teacher_context, teacher)
                        outputs[kind].hidden_pairs = hidden_pairs(*both)
                        outputs[kind].attention_pairs = attention_pairs(*both)
                elif kind in from_cache:
                    cached = concatenate(micro_batch.cached_distributions, labels.device)
                    outputs[kind] = replace(outputs[kind], **cached)
        with step_part(LOSS):
            return batch_loss(self.objective, outputs, counts, Models(self.student, self.teacher, self.autocast))
