"""The objective on one batch, computed from hidden states, with one chunk of logits in memory (see `chunks`)."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fdistill.losses import chunks
from fdistill.losses.inputs import (
    EXAMPLES,
    IGNORE,
    LABELS,
    SOURCE,
    LossInputs,
    example_weights,
    prefix_log_odds,
    suffix_log_odds,
)
from fdistill.losses.objectives import Objective, Term
from fdistill.losses.step_losses import LOSSES
from fdistill.models.language_model import LanguageModel


@dataclass
class SequenceOutputs:
    """What student and teacher compute for one kind of sequence; N valid label positions, row by row.

    The teacher's distributions come from its states or, with `teacher_cache: topk`, from its likeliest tokens; both are
    None for losses that read neither.
    """

    labels: Tensor  # (B, T), IGNORE at padded positions
    student_states: Tensor  # (N, D), of `LanguageModel.decode`
    teacher_states: Tensor | None = None  # (N, D')
    top_tokens: Tensor | None = None  # as in `LossInputs`
    top_log_probs: Tensor | None = None  # as in `LossInputs`
    source_mask: Tensor | None = None  # as in `LossInputs`
    hidden_pairs: list[tuple[Tensor, Tensor, str]] = field(default_factory=list)  # as in `LossInputs`
    attention_pairs: list[tuple[Tensor, Tensor, str]] = field(default_factory=list)  # as in `LossInputs`


@dataclass(frozen=True)
class Models:
    """The models whose output layers turn states into logits, and the precision context in which they do."""

    student: LanguageModel
    teacher: LanguageModel | None
    autocast: AbstractContextManager

    @property
    def chunk_size(self) -> int:
        """The number of positions whose logits are in memory at a time."""
        return min(model.chunk_size for model in (self.student, self.teacher) if model is not None)


def batch_loss(
    objective: Objective, outputs: dict[str, SequenceOutputs], counts: dict[str, dict[str, int]], models: Models
) -> Tensor:
    """Return the objective on a batch, a scalar.

    `outputs` and `counts` are keyed by the kind of sequence; `Term.evaluate` explains `counts`.
    """
    by_example = objective.reduction == EXAMPLES
    return sum(_loss_on(objective.terms_on(kind), outputs[kind], counts[kind], models, by_example) for kind in outputs)


def _loss_on(
    terms: tuple[Term, ...], outputs: SequenceOutputs, counts: dict[str, int], models: Models, by_example: bool
) -> Tensor:
    """Return the sum of the terms on one kind of sequence; `by_example` averages over each example first."""
    on_layers = [term for term in terms if LOSSES[term.loss].compares_layers]
    on_logits = [term for term in terms if term not in on_layers]
    inputs = LossInputs(
        outputs.labels,
        source_mask=outputs.source_mask,
        hidden_pairs=outputs.hidden_pairs,
        attention_pairs=outputs.attention_pairs,
    )
    if by_example:
        kinds = (LABELS,) if outputs.source_mask is None else (LABELS, SOURCE)
        inputs.weights = {positions: example_weights(inputs.mask(positions)) for positions in kinds}
    total = sum(term.evaluate(inputs, counts) for term in on_layers)
    if not on_logits:
        return total

    labels = outputs.labels[outputs.labels != IGNORE]  # (N,)
    log_odds = suffixes = None
    if any(term.parameters.get("exact") for term in terms):
        log_odds = prefix_log_odds(*_log_probs_by_row(outputs, labels, models), outputs.labels)
    if any(LOSSES[term.loss].needs_suffixes for term in terms):
        with torch.no_grad():
            suffixes = suffix_log_odds(*_log_probs_by_row(outputs, labels, models), outputs.labels)

    by_name = {  # what a loss reads of its position besides labels, logits and weights
        "top_tokens": outputs.top_tokens,
        "top_log_probs": outputs.top_log_probs,
        "log_odds": log_odds,
        "suffixes": suffixes,
    }

    def loss_of_chunk(
        labels: Tensor,
        student_states: Tensor,
        teacher_states: Tensor | None,
        weights: Tensor | None,
        *others: Tensor | None,
    ) -> Tensor:
        with models.autocast:
            student_logits = models.student.logits(student_states)
            with torch.no_grad():
                teacher_logits = None if teacher_states is None else models.teacher.logits(teacher_states)
        inputs = LossInputs(
            labels[None],
            student_logits,
            teacher_logits,
            weights={} if weights is None else {LABELS: weights},
            **dict(zip(by_name, others, strict=True)),
        )
        return sum(term.evaluate(inputs, counts) for term in on_logits)

    states = (outputs.student_states, outputs.teacher_states)
    positions = [labels, *states, inputs.weights.get(LABELS), *by_name.values()]
    return total + chunks.sum_over_chunks(loss_of_chunk, positions, models.student.output_weights(), models.chunk_size)


def _log_probs_by_row(outputs: SequenceOutputs, labels: Tensor, models: Models) -> tuple[Tensor, Tensor]:
    """Return the labels' log-probabilities under teacher and student, (B, T) each, 0 at padded positions.

    Sums along sequences need them: chunks do not contain whole sequences.
    """

    def by_row(log_probs: Tensor) -> Tensor:
        valid = outputs.labels != IGNORE
        return log_probs.new_zeros(outputs.labels.shape).masked_scatter(valid, log_probs)

    with models.autocast:
        log_q = models.student.log_probs_from(outputs.student_states, labels)
        with torch.no_grad():
            log_p = models.teacher.log_probs_from(outputs.teacher_states, labels)
    return by_row(log_p), by_row(log_q)
