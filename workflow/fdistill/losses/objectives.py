"""Training objectives: the kinds of sequence that a method learns from, and its loss on each of them.

A method (an entry of `config/methods.yaml`) is a list of terms; a term is one loss on one kind of sequence. The
expectation over sequences is estimated by one Monte-Carlo sample under stop-gradient; the gradient flows through the
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

# The kinds of sequence that a term can use.
GROUND_TRUTH = "ground_truth"  # the targets of the training split, y*
STUDENT_SAMPLES = "student_samples"  # on-policy: y' ~ q, sampled from the current student at each step
ONLINE_TEACHER_SAMPLES = "online_teacher_samples"  # y ~ p, sampled from the teacher anew in every epoch
SAMPLED = (STUDENT_SAMPLES, ONLINE_TEACHER_SAMPLES)  # what training samples itself; it reads the others
TEACHER_SAMPLES = "teacher_samples"  # offline: y ~ p, sampled from the teacher before training, stored as Parquet
TEACHER_BEAM = "teacher_beam"  # offline too: the teacher's beam-search outputs, its pseudo-labels
OTHER_TEACHER_BEAM = "other_teacher_beam"  # another teacher's, of any tokenizer: they come through text
TEACHER_SEQUENCES = (TEACHER_SAMPLES, TEACHER_BEAM)
STORED_SEQUENCES = (*TEACHER_SEQUENCES, OTHER_TEACHER_BEAM)
SEQUENCES = (GROUND_TRUTH, *SAMPLED, *STORED_SEQUENCES)

IGNORE = -100  # the label of a padded position

# The positions that a loss is averaged over: those of the labels or, for encoder hidden states, of the source.
LABELS, SOURCE = "labels", "source"


@dataclass
class LossInputs:
    """What the losses read of one batch of one kind of sequence.

    B rows, T label positions, S source positions, vocabulary V, hidden width D. N is the number of valid label
    positions of all rows; tensors of N rows list them row by row.
    """

    labels: Tensor  # (B, T), IGNORE at padded positions
    student_logits: Tensor | None = None  # (N, V)
    teacher_logits: Tensor | None = None  # (N, V)
    source_mask: Tensor | None = None  # (B, S), 1 at real source tokens
    # (student state, teacher state, positions): states (B, L, D), positions LABELS (L = T) or SOURCE (L = S)
    hidden_pairs: list[tuple[Tensor, Tensor, str]] = field(default_factory=list)
    # Likewise the weights of self-attention: (B, heads, L, keys), 0 where a position may not look
    attention_pairs: list[tuple[Tensor, Tensor, str]] = field(default_factory=list)
    # Instead of teacher_logits, where `teacher_cache` stores the teacher's K likeliest tokens:
    top_tokens: Tensor | None = None  # (N, K)
    top_log_probs: Tensor | None = None  # (N, K+1): those of the tokens, and of all other tokens together
    log_odds: Tensor | None = None  # (N, 1), see `prefix_log_odds`; needed where `labels` are not whole sequences
    temperature: float = 1.0
    _log_probs: dict[tuple[str, float], Tensor] = field(default_factory=dict)  # shared by the terms of an objective

    def mask(self, positions: str) -> Tensor:
        """Return the mask of valid positions, (B, T) for LABELS or (B, S) for SOURCE.

        It is made from the labels, not from the decoder inputs, in which T5's start token is its pad token.
        """
        return self.labels != IGNORE if positions == LABELS else self.source_mask.bool()

    @property
    def log_q(self) -> Tensor:
        """The student's log-probabilities, (N, V)."""
        return self._log_softmax("q", self.student_logits)

    @property
    def log_p(self) -> Tensor:
        """The teacher's log-probabilities, (N, V)."""
        return self._log_softmax("p", self.teacher_logits)

    @property
    def log_p_and_log_q(self) -> tuple[Tensor, Tensor]:
        """Log-probabilities of teacher and student over the same symbols.

        These are the vocabulary, (N, V), or the teacher's likeliest tokens with one symbol for the rest, (N, K+1).
        """
        if self.top_tokens is None:
            return self.log_p, self.log_q
        return self.top_log_probs, divergences.coarsen(self.log_q, self.top_tokens)

    @property
    def prefix_log_odds(self) -> Tensor:
        """The log odds of each position's prefix, (N, 1): `log_odds`, or computed by `prefix_log_odds`."""
        if self.log_odds is not None:
            return self.log_odds
        log_p, log_q = (token_log_probs(log_probs, self.labels) for log_probs in (self.log_p, self.log_q))
        return prefix_log_odds(log_p, log_q, self.labels)

    def _log_softmax(self, name: str, logits: Tensor) -> Tensor:
        key = (name, self.temperature)
        if key not in self._log_probs:
            self._log_probs[key] = log_softmax(logits, self.temperature)
        return self._log_probs[key]


def token_log_probs(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probability of each label, 0 at padded positions: (N, V), (B, T) -> (B, T)."""
    valid = labels != IGNORE
    of_labels = log_probs.gather(-1, labels[valid].unsqueeze(-1)).squeeze(-1)
    return log_probs.new_zeros(labels.shape).masked_scatter(valid, of_labels)


def prefix_log_odds(log_p: Tensor, log_q: Tensor, labels: Tensor) -> Tensor:
    """Return r_t = log p(y_<t|x) - log q(y_<t|x), the log odds of each position's prefix: (N, 1).

    `log_p` and `log_q` are the labels' log-probabilities (B, T), 0 at padded positions. r_1 = 0 (Wen et al. 2023,
    Eq. 12).
    """
    log_ratio = log_p - log_q
    return (log_ratio.cumsum(-1) - log_ratio)[labels != IGNORE].unsqueeze(-1)


# --- step-wise losses: one value per valid position, (N,), in nats


def nll(inputs: LossInputs) -> Tensor:
    """Return -log q(y_t), the cross-entropy with a hard sequence (Wen et al. 2023, Eq. 3)."""
    return -token_log_probs(inputs.log_q, inputs.labels)[inputs.mask(LABELS)]


def energy(inputs: LossInputs) -> Tensor:
    """Return -Σ_v q(v) log p(v): reverse KL without the student's entropy (ENGINE; Wen et al. 2023, section 2.2)."""
    log_p, log_q = inputs.log_p_and_log_q
    return -(log_q.exp() * log_p).sum(-1)


def _mixture_half(half: Callable[..., Tensor], inputs: LossInputs, beta: float, exact: bool | str) -> Tensor:
    """Return one half of JS. `beta` is the weight of q in m; `exact` uses the true conditional of m (Eq. 12).

    With `exact` "held", the weights that the prefix gives to p and q are constants for the gradient.
    """
    log_p, log_q = inputs.log_p_and_log_q
    log_odds = torch.logit(torch.tensor(1 - beta, dtype=log_p.dtype, device=log_p.device))
    if exact:
        of_prefix = inputs.prefix_log_odds
        log_odds = log_odds + (of_prefix.detach() if exact == "held" else of_prefix)
    return half(log_p, log_q, log_odds)


def kl_p_mixture(inputs: LossInputs, beta: float = 0.5, exact: bool | str = False) -> Tensor:
    """Return KL(p‖m), m = (1-β) p + β q: the half of JS on teacher samples (Wen et al. 2023, Eq. 8).

    `exact` uses the true conditional of the mixture of sequences (Eq. 12) instead of the step-wise one (Eq. 11);
    "held" is the same without the gradient through the weights of the mixture.
    """
    return _mixture_half(divergences.kl_p_mixture, inputs, beta, exact)


def kl_q_mixture(inputs: LossInputs, beta: float = 0.5, exact: bool | str = False) -> Tensor:
    """Return KL(q‖m), m = (1-β) p + β q: the half of JS on student samples (Wen et al. 2023, Eq. 8).

    `exact` uses the true conditional of the mixture of sequences (Eq. 12) instead of the step-wise one (Eq. 11);
    "held" is the same without the gradient through the weights of the mixture.
    """
    return _mixture_half(divergences.kl_q_mixture, inputs, beta, exact)


def hidden_mse(inputs: LossInputs, normalize: bool = False) -> list[tuple[Tensor, str]]:
    """Return the mean squared difference of paired hidden states over hidden units (Shleifer & Rush 2020, Eq. 4).

    The list has one entry per supervised layer: the values at its valid positions, and the kind of these positions,
    since the encoder's are those of the source. The layers are summed. `normalize` applies layer normalisation,
    without weights, to each hidden vector.
    """
    layers = []
    for student, teacher, positions in inputs.hidden_pairs:
        pair = [student.float(), teacher.float()]
        if normalize:
            pair = [torch.nn.functional.layer_norm(h, h.shape[-1:]) for h in pair]
        layers.append(((pair[0] - pair[1]).square().mean(-1)[inputs.mask(positions)], positions))
    return layers


def hidden_cosine(inputs: LossInputs) -> list[tuple[Tensor, str]]:
    """Return 1 - cos(student state, teacher state) of the last layer of each stack (Sanh et al. 2019, DistilBERT).

    Shleifer & Rush 2020, section 6.3, add it to Eq. 5. The list is that of `hidden_mse`, with one entry per stack.
    """
    last = {positions: (student, teacher) for student, teacher, positions in inputs.hidden_pairs}
    return [
        ((1 - torch.cosine_similarity(student.float(), teacher.float(), dim=-1))[inputs.mask(positions)], positions)
        for positions, (student, teacher) in last.items()
    ]


def attention_mse(inputs: LossInputs) -> list[tuple[Tensor, str]]:
    """Return the mean squared difference of paired self-attention weights, over heads and real positions.

    It is TinyBERT's attention loss (Jiao et al. 2020, Eq. 7) on the weights, as Shleifer & Rush 2020, section 6.3, say;
    TinyBERT itself compares the scores before the softmax. The list is that of `hidden_mse`: the value of a position is
    the mean over the heads and over the positions that its row has.
    """
    layers = []
    for student, teacher, positions in inputs.attention_pairs:
        mask = inputs.mask(positions)  # (B, L)
        squares = (student.float() - teacher.float()).square().sum(-1).mean(1)  # (B, L)
        layers.append(((squares / mask.sum(-1, keepdim=True).clamp(min=1))[mask], positions))
    return layers


@dataclass(frozen=True)
class Loss:
    """A step-wise loss: its function of `LossInputs`, its parameters with their defaults, and what it needs."""

    function: Callable[..., Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    needs_teacher: bool = True
    needs_hidden: bool = False
    needs_attentions: bool = False

    @property
    def compares_layers(self) -> bool:
        """Whether it reads what is inside the models, instead of their distributions."""
        return self.needs_hidden or self.needs_attentions


def _divergence(name: str) -> Callable[..., Tensor]:
    return lambda inputs, **parameters: divergences.DIVERGENCES[name](*inputs.log_p_and_log_q, **parameters)


LOSSES: dict[str, Loss] = {
    "nll": Loss(nll, needs_teacher=False),
    "energy": Loss(energy),
    "kl_p_mixture": Loss(kl_p_mixture, {"beta": 0.5, "exact": False}),
    "kl_q_mixture": Loss(kl_q_mixture, {"beta": 0.5, "exact": False}),
    "hidden_mse": Loss(hidden_mse, {"normalize": False}, needs_hidden=True),
    "hidden_cosine": Loss(hidden_cosine, needs_hidden=True),
    "attention_mse": Loss(attention_mse, needs_attentions=True),
    **{name: Loss(_divergence(name), d.parameters) for name, d in divergences.DIVERGENCES.items()},
}


@dataclass(frozen=True)
class Term:
    """One summand of an objective: weight · τ² · loss, on one kind of sequence.

    The temperature τ divides the logits; losses that compare layers read none.
    """

    sequences: str
    loss: str
    weight: float = 1.0
    temperature: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        """Raise UserError for an unknown kind of sequence, loss or parameter, and for a temperature of no logits."""
        if self.sequences not in SEQUENCES:
            raise UserError(f"terms.sequences: unknown '{self.sequences}'; allowed: {', '.join(SEQUENCES)}")
        if self.loss not in LOSSES:
            raise UserError(f"terms.loss: unknown '{self.loss}'; allowed: {', '.join(LOSSES)}")
        for name in self.parameters:
            if name not in LOSSES[self.loss].parameters:
                allowed = ", ".join(LOSSES[self.loss].parameters) or "none"
                raise UserError(f"terms.parameters: '{self.loss}' has no parameter '{name}'; allowed: {allowed}")
        if self.temperature != 1 and LOSSES[self.loss].compares_layers:
            raise UserError(f"terms.temperature: not used with loss '{self.loss}', which reads no logits; remove it")

    def evaluate(self, inputs: LossInputs, counts: dict[str, int]) -> Tensor:
        """Return the term's share of the batch loss, weight · τ² · Σ values at valid positions / counts[positions].

        `counts` are the numbers of valid positions of the *whole* effective batch, so that the micro-batches of
        gradient accumulation add up to the mean over it.
        """
        inputs.temperature = self.temperature
        values = LOSSES[self.loss].function(inputs, **self.parameters)
        layers = values if isinstance(values, list) else [(values, LABELS)]
        total = sum(value.sum() / max(1, counts[positions]) for value, positions in layers)
        return self.weight * self.temperature**2 * total


@dataclass(frozen=True)
class Objective:
    """The terms of a method."""

    terms: tuple[Term, ...]

    @classmethod
    def from_config(cls, terms: list[dict[str, Any]]) -> "Objective":
        """Build an objective from the `terms` list of `config/methods.yaml`; UserError for unknown names."""
        return cls(tuple(Term(**term) for term in terms))

    @property
    def sequences(self) -> tuple[str, ...]:
        """The kinds of sequence that the terms use, in the order of `SEQUENCES`."""
        return tuple(kind for kind in SEQUENCES if self.terms_on(kind))

    def terms_on(self, sequences: str) -> tuple[Term, ...]:
        """Return the terms on one kind of sequence."""
        return tuple(term for term in self.terms if term.sequences == sequences)

    def needs_teacher_on(self, sequences: str) -> bool:
        """Return whether a loss on one kind of sequence reads the teacher's distributions."""
        return any(LOSSES[term.loss].needs_teacher for term in self.terms_on(sequences))

    @property
    def needs_teacher(self) -> bool:
        """Whether training runs the teacher: to sample from it, or for a loss that reads its distributions.

        Those of `mle` and `seqkd` do not.
        """
        return ONLINE_TEACHER_SAMPLES in self.sequences or any(map(self.needs_teacher_on, self.sequences))

    @property
    def mixtures(self) -> list[str]:
        """Return, for each term on the mixture m, whose weight is which: GKD's and TRL's beta is the teacher's."""
        return [
            f"{term.loss}: m = {1 - term.parameters['beta']:g} p (teacher) + {term.parameters['beta']:g} q (student)"
            for term in self.terms
            if "beta" in term.parameters
        ]

    @property
    def needs_hidden(self) -> bool:
        """Whether any loss reads hidden states."""
        return any(LOSSES[term.loss].needs_hidden for term in self.terms)

    @property
    def needs_attentions(self) -> bool:
        """Whether any loss reads attention weights, which memory-efficient attention does not compute."""
        return any(LOSSES[term.loss].needs_attentions for term in self.terms)
