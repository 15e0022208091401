"""The objective on a batch, from what the models' output layers read: never all logits at a time (see `chunks`)."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fdistill.losses import chunks
from fdistill.losses.objectives import IGNORE, LOSSES, Objective, Step, Term, prefix_log_odds
from fdistill.models.language_model import LanguageModel


@dataclass
class SequenceOutputs:
    """Both models' pass over one kind of sequence; N valid positions, row by row."""

    labels: Tensor  # (B, T), IGNORE after the end
    student_states: Tensor  # (N, D), of `LanguageModel.decode`
    teacher_states: Tensor | None = None  # (N, D'), where a loss reads the teacher's distributions; or instead of them
    top_tokens: Tensor | None = None  # as in `Step`
    top_log_probs: Tensor | None = None
    source_mask: Tensor | None = None  # as in `Step`
    hidden_pairs: list[tuple[Tensor, Tensor, str]] = field(default_factory=list)  # as in `Step`


@dataclass(frozen=True)
class Models:
    """Whose output layers make logits of the states, and in which precision."""

    student: LanguageModel
    teacher: LanguageModel | None
    autocast: AbstractContextManager

    @property
    def chunk_size(self) -> int:
        """Positions whose logits are in memory at a time."""
        return min(model.chunk_size for model in (self.student, self.teacher) if model is not None)


def batch_loss(
    objective: Objective, passes: dict[str, SequenceOutputs], counts: dict[str, dict[str, int]], models: Models
) -> Tensor:
    """The objective of a batch: `passes` and `counts` by kind of sequence (see `Term.evaluate`)."""
    return sum(_loss_on(objective.on(kind), each, counts[kind], models) for kind, each in passes.items())


def _loss_on(terms: tuple[Term, ...], each: SequenceOutputs, counts: dict[str, int], models: Models) -> Tensor:
    """The terms on one kind of sequence."""
    on_states = [term for term in terms if LOSSES[term.loss].needs_hidden]
    on_logits = [term for term in terms if term not in on_states]
    hidden = Step(each.labels, source_mask=each.source_mask, hidden_pairs=each.hidden_pairs)
    total = sum(term.evaluate(hidden, counts) for term in on_states)
    if not on_logits:
        return total

    names = ("top_tokens", "top_log_probs", "log_odds")

    def of_chunk(labels: Tensor, student: Tensor, teacher: Tensor | None, *others: Tensor | None) -> Tensor:
        with models.autocast:
            student_logits = models.student.logits(student)
            with torch.no_grad():
                teacher_logits = None if teacher is None else models.teacher.logits(teacher)
        step = Step(labels[None], student_logits, teacher_logits, **dict(zip(names, others, strict=True)))
        return sum(term.evaluate(step, counts) for term in on_logits)

    labels = each.labels[each.labels != IGNORE]
    log_odds = _prefix_log_odds(each, labels, models) if any(term.parameters.get("exact") for term in terms) else None
    positions = [labels, each.student_states, each.teacher_states, each.top_tokens, each.top_log_probs, log_odds]
    return total + chunks.summed(of_chunk, positions, models.student.output_weights(), models.chunk_size)


def _prefix_log_odds(each: SequenceOutputs, labels: Tensor, models: Models) -> Tensor:
    """See `objectives.prefix_log_odds`: it sums over whole sequences, which chunks are not."""

    def whole(found: Tensor) -> Tensor:
        valid = each.labels != IGNORE
        return found.new_zeros(each.labels.shape).masked_scatter(valid, found)

    with models.autocast:
        log_q = models.student.log_probs_from(each.student_states, labels)
        with torch.no_grad():
            log_p = models.teacher.log_probs_from(each.teacher_states, labels)
    return prefix_log_odds(whole(log_p), whole(log_q), each.labels)
