"""Training objectives: which sequences a method needs, and which loss it takes on each.

A method (an entry of `config/methods.yaml`) is a list of terms; a term is one loss on one kind of sequence.
The expectation over sequences is one Monte-Carlo sample under stop-gradient; the gradient flows through the
step-wise losses only (Wen et al. 2023, Eqs. 5-12 and section 7).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fdistill.losses import divergences
from fdistill.losses.divergences import log_softmax
from fdistill.runtime.errors import UserError

# Where a term's sequences come from.
GROUND_TRUTH = "ground_truth"  # the training split's targets, y*
STUDENT_SAMPLES = "student_samples"  # y' ~ q, drawn on line from the current student
TEACHER_SAMPLES = "teacher_samples"  # y ~ p, drawn off line, stored as Parquet
TEACHER_SEQUENCES = (TEACHER_SAMPLES, "teacher_beam")  # likewise its hard sequences
SEQUENCES = (GROUND_TRUTH, STUDENT_SAMPLES, *TEACHER_SEQUENCES)

IGNORE = -100  # a label at a padded position

# What a loss is averaged over: the positions of the labels, or (encoder hidden states) those of the source.
LABELS, SOURCE = "labels", "source"


@dataclass
class Step:
    """What one batch of one kind of sequence gives to a loss.

    T positions, N of all rows' positions valid (row by row), vocabulary V, width D.
    """

    labels: Tensor  # (B, T), IGNORE after the end
    student_logits: Tensor | None = None  # (N, V)
    teacher_logits: Tensor | None = None  # (N, V)
    source_mask: Tensor | None = None  # (B, S), 1 at real source tokens
    # (student state, teacher state, positions): states (B, L, D), positions LABELS (L = T) or SOURCE (L = S)
    hidden_pairs: list[tuple[Tensor, Tensor, str]] = field(default_factory=list)
    top_tokens: Tensor | None = None  # (N, K), where the teacher is known by its likeliest tokens (`teacher_cache`)
    top_log_probs: Tensor | None = None  # (N, K+1), theirs and that of all others together
    log_odds: Tensor | None = None  # (N, 1), see `prefix_log_odds`; from the labels where they are whole sequences
    temperature: float = 1.0
    _log_probs: dict[tuple[str, float], Tensor] = field(default_factory=dict)  # as several terms read them

    def mask(self, positions: str) -> Tensor:
        """Which positions count, (B, T) or (B, S). Made from the labels, never from the decoder's inputs."""
        return self.labels != IGNORE if positions == LABELS else self.source_mask.bool()

    @property
    def log_q(self) -> Tensor:
        """Student log-probabilities (N, V)."""
        return self._log_softmax("q", self.student_logits)

    @property
    def log_p(self) -> Tensor:
        """Teacher log-probabilities (N, V)."""
        return self._log_softmax("p", self.teacher_logits)

    @property
    def compared(self) -> tuple[Tensor, Tensor]:
        """The two distributions over one alphabet, as log-probabilities: teacher's and student's."""
        if self.top_tokens is None:
            return self.log_p, self.log_q
        return self.top_log_probs, divergences.coarsened(self.log_q, self.top_tokens)

    @property
    def prefix_log_odds(self) -> Tensor:
        """The log odds of the prefix of each position, (N, 1)."""
        if self.log_odds is not None:
            return self.log_odds
        return prefix_log_odds(*(token_log_probs(each, self.labels) for each in (self.log_p, self.log_q)), self.labels)

    def _log_softmax(self, name: str, logits: Tensor) -> Tensor:
        key = (name, self.temperature)
        if key not in self._log_probs:
            self._log_probs[key] = log_softmax(logits, self.temperature)
        return self._log_probs[key]


def token_log_probs(log_probs: Tensor, labels: Tensor) -> Tensor:
    """The log-probability of each label, 0 at padded positions: (N, V), (B, T) -> (B, T)."""
    valid = labels != IGNORE
    picked = log_probs.gather(-1, labels[valid].unsqueeze(-1)).squeeze(-1)
    return log_probs.new_zeros(labels.shape).masked_scatter(valid, picked)


def nll(step: Step) -> Tensor:
    """-log q(y_t): cross-entropy with a hard sequence (Eq. 3)."""
    return -token_log_probs(step.log_q, step.labels)[step.mask(LABELS)]


def energy(step: Step) -> Tensor:
    """-Σ_v q(v) log p(v): reverse KL less the student's entropy (ENGINE, section 2.2)."""
    log_p, log_q = step.compared
    return -(log_q.exp() * log_p).sum(-1)


def prefix_log_odds(log_p: Tensor, log_q: Tensor, labels: Tensor) -> Tensor:
    """r_t = log p(y_<t|x) - log q(y_<t|x), the log odds of the prefix, shape (N, 1); r_1 = 0 (Eq. 12).

    From the labels' log-probabilities (B, T), 0 at padded positions.
    """
    ratio = log_p - log_q
    return (ratio.cumsum(-1) - ratio)[labels != IGNORE].unsqueeze(-1)


def _mixture_half(half: Callable[..., Tensor], step: Step, beta: float, exact: bool) -> Tensor:
    """One half of JS. `beta` is the weight of q in m; `exact` takes m's true conditional, Eq. 12."""
    log_p, log_q = step.compared
    log_odds = torch.logit(torch.tensor(1 - beta, dtype=log_p.dtype, device=log_p.device))
    if exact:
        log_odds = log_odds + step.prefix_log_odds
    return half(log_p, log_q, log_odds)


def kl_p_mixture(step: Step, beta: float = 0.5, exact: bool = False) -> Tensor:
    """KL(p‖m), m = (1-β) p + β q: the half of JS that belongs to teacher samples (Eq. 8)."""
    return _mixture_half(divergences.kl_p_mixture, step, beta, exact)


def kl_q_mixture(step: Step, beta: float = 0.5, exact: bool = False) -> Tensor:
    """KL(q‖m), m = (1-β) p + β q: the half of JS that belongs to student samples (Eq. 8)."""
    return _mixture_half(divergences.kl_q_mixture, step, beta, exact)


def hidden_mse(step: Step, normalize: bool = False) -> list[tuple[Tensor, str]]:
    """Mean square between paired hidden states over hidden units (Shleifer & Rush 2020, Eq. 4).

    One (values of the positions that count, their kind) pair per supervised layer, since encoder and decoder positions
    differ; the layers are summed. `normalize` applies layer normalisation, without weights, to each hidden vector.
    """
    terms = []
    for student, teacher, positions in step.hidden_pairs:
        pair = [student.float(), teacher.float()]
        if normalize:
            pair = [torch.nn.functional.layer_norm(h, h.shape[-1:]) for h in pair]
        terms.append(((pair[0] - pair[1]).square().mean(-1)[step.mask(positions)], positions))
    return terms


@dataclass(frozen=True)
class Loss:
    """A step-wise loss, what it needs, and its parameters with their defaults."""

    function: Callable[..., Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    needs_teacher: bool = True
    needs_hidden: bool = False


def _divergence(name: str) -> Callable[..., Tensor]:
    return lambda step, **parameters: divergences.DIVERGENCES[name](*step.compared, **parameters)


LOSSES: dict[str, Loss] = {
    "nll": Loss(nll, needs_teacher=False),
    "energy": Loss(energy),
    "kl_p_mixture": Loss(kl_p_mixture, {"beta": 0.5, "exact": False}),
    "kl_q_mixture": Loss(kl_q_mixture, {"beta": 0.5, "exact": False}),
    "hidden_mse": Loss(hidden_mse, {"normalize": False}, needs_hidden=True),
    **{name: Loss(_divergence(name), d.parameters) for name, d in divergences.DIVERGENCES.items()},
}


@dataclass(frozen=True)
class Term:
    """weight · τ² · loss on one kind of sequence."""

    sequences: str
    loss: str
    weight: float = 1.0
    temperature: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        """Refuse names and parameters that do not exist (UserError)."""
        if self.sequences not in SEQUENCES:
            raise UserError(f"terms.sequences: unknown '{self.sequences}'; allowed: {', '.join(SEQUENCES)}")
        if self.loss not in LOSSES:
            raise UserError(f"terms.loss: unknown '{self.loss}'; allowed: {', '.join(LOSSES)}")
        for name in self.parameters:
            if name not in LOSSES[self.loss].parameters:
                allowed = ", ".join(LOSSES[self.loss].parameters) or "none"
                raise UserError(f"terms.parameters: '{self.loss}' has no parameter '{name}'; allowed: {allowed}")

    def evaluate(self, step: Step, counts: dict[str, int]) -> Tensor:
        """The term's share of the batch loss: weight · τ² · Σ values at valid positions / counts[positions].

        `counts` holds the number of valid positions of the *whole* effective batch, so that the micro-batches
        of gradient accumulation add up to the mean over it.
        """
        step.temperature = self.temperature
        values = LOSSES[self.loss].function(step, **self.parameters)
        pairs = values if isinstance(values, list) else [(values, LABELS)]
        total = sum(value.sum() / max(1, counts[positions]) for value, positions in pairs)
        return self.weight * self.temperature**2 * total


@dataclass(frozen=True)
class Objective:
    """A method's terms, grouped by the sequences they share."""

    terms: tuple[Term, ...]

    @classmethod
    def from_config(cls, terms: list[dict[str, Any]]) -> "Objective":
        """Build from the `terms` list of `config/methods.yaml`."""
        return cls(tuple(Term(**term) for term in terms))

    @property
    def sequences(self) -> tuple[str, ...]:
        """The kinds of sequence needed, each once, in a fixed order."""
        return tuple(kind for kind in SEQUENCES if self.on(kind))

    def on(self, sequences: str) -> tuple[Term, ...]:
        """The terms on one kind of sequence."""
        return tuple(term for term in self.terms if term.sequences == sequences)

    def needs_teacher_on(self, sequences: str) -> bool:
        """Whether a loss on one kind of sequence reads the teacher's distributions."""
        return any(LOSSES[term.loss].needs_teacher for term in self.on(sequences))

    @property
    def needs_teacher(self) -> bool:
        """Whether any loss reads the teacher's distributions: sequence-level KD (`seqkd`) does not."""
        return any(map(self.needs_teacher_on, self.sequences))

    @property
    def needs_hidden(self) -> bool:
        """Whether any loss reads hidden states."""
        return any(LOSSES[term.loss].needs_hidden for term in self.terms)
