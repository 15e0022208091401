"""What the losses read of a batch: outputs of student and teacher, the positions that count, sums along sequences."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fdistill.losses import divergences
from fdistill.losses.divergences import log_softmax

IGNORE = -100  # the label of a padded position

# The positions that a loss is averaged over: those of the labels or, for encoder hidden states, of the source.
LABELS, SOURCE = "labels", "source"
EXAMPLES = "examples"  # the number of these is counted beside that of valid positions


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
    # Needed where `labels` are not whole sequences:
    log_odds: Tensor | None = None  # (N, 1), see `prefix_log_odds`
    suffixes: Tensor | None = None  # (N, 2), see `suffix_log_odds`
    # The weight of each valid position in its example's mean, see `example_weights`; empty: all positions count alike
    weights: dict[str, Tensor] = field(default_factory=dict)  # by kind of positions, (N,) for LABELS
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
        return prefix_log_odds(*self._of_labels(), self.labels) if self.log_odds is None else self.log_odds

    @property
    def suffix_log_odds(self) -> Tensor:
        """What follows each position, (N, 2): `suffixes`, or computed by `suffix_log_odds`."""
        return suffix_log_odds(*self._of_labels(), self.labels) if self.suffixes is None else self.suffixes

    def _of_labels(self) -> tuple[Tensor, Tensor]:
        """Return the labels' log-probabilities under teacher and student, (B, T) each."""
        return token_log_probs(self.log_p, self.labels), token_log_probs(self.log_q, self.labels)

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


def suffix_log_odds(log_p: Tensor, log_q: Tensor, labels: Tensor) -> Tensor:
    """Return Σ_{t'>t} log p(y_t')/q(y_t') and the number of the tokens y_t', for each position t: (N, 2).

    `log_p` and `log_q` are those of `prefix_log_odds`.
    """
    valid = labels != IGNORE
    log_ratio, ones = log_p - log_q, valid.to(log_p.dtype)
    sums, counts = (x.sum(-1, keepdim=True) - x.cumsum(-1) for x in (log_ratio, ones))
    return torch.stack([sums[valid], counts[valid]], -1)


def example_weights(mask: Tensor) -> Tensor:
    """Return 1 / (valid positions of the row) at each valid position of a mask: (B, L) -> (N,)."""
    return mask.sum(-1, keepdim=True).clamp(min=1).reciprocal().expand(mask.shape)[mask]
