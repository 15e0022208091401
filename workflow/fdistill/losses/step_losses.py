"""The step-wise losses by name: what one position of a sequence contributes to an objective."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fdistill.losses import divergences
from fdistill.losses.inputs import LABELS, LossInputs, token_log_probs

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


def policy_gradient(inputs: LossInputs, per_token: bool = True) -> Tensor:
    """Return -R_t log q(y_t), whose gradient is the long-term part of reverse KL's (MiniLLM, Gu et al. 2024, 2.2).

    The reward R_t = Σ_{t'>t} log p(y_t')/q(y_t') of what follows is a constant for the gradient; with `per_token` it is
    divided by the number of these tokens (their length normalisation). On y' ~ q, and added to `rkl`, the
    gradient's expectation is that of the sequence-level KL(q‖p). Its own value says nothing.
    """
    sums, counts = inputs.suffix_log_odds.detach().unbind(-1)
    reward = sums / counts.clamp(min=1) if per_token else sums
    return reward * nll(inputs)


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
    needs_suffixes: bool = False  # of the sequences, `LossInputs.suffix_log_odds`

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
    "policy_gradient": Loss(policy_gradient, {"per_token": True}, needs_suffixes=True),
    "hidden_mse": Loss(hidden_mse, {"normalize": False}, needs_hidden=True),
    "hidden_cosine": Loss(hidden_cosine, needs_hidden=True),
    "attention_mse": Loss(attention_mse, needs_attentions=True),
    **{name: Loss(_divergence(name), d.parameters) for name, d in divergences.DIVERGENCES.items()},
}
