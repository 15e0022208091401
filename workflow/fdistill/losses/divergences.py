"""f-divergences between two categorical distributions, computed from log-probabilities.

`D_f(p‖q) = Σ_v q(v) f(p(v) / q(v))`, f convex, f(1) = 0 (Wen et al. 2023, Eq. 4 and Table 1).

Every divergence takes `log_p` (teacher) and `log_q` (student) of shape (..., V), normalised over the last axis (see
`log_softmax`), and returns one value per position in nats, shape (...). To add a divergence, add its generator f to
`DIVERGENCES`: `from_generator` computes it. A closed form is optional.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# Stands for log 0. It is finite, so that 0 · log 0 = 0 and a one-hot teacher leaves value and gradient finite, and far
# below any log-probability that float32 logits of ordinary size can produce.
LOG_ZERO = -1e6
# `from_generator` clamps the ratio p/q to exp(±40): float32 holds its square, which Pearson's f needs.
MAX_LOG_RATIO = 40.0


def log_softmax(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return log-probabilities over the last axis, at least `LOG_ZERO`: (..., V) -> (..., V).

    They are computed in float64 for float64 logits and in float32 for all others.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return _LogSoftmax.apply(logits if temperature == 1 else logits / temperature)


class _LogSoftmax(torch.autograd.Function):
    """Log-softmax with a lower bound, which is applied in place to save a vocabulary-sized tensor.

    The backward pass needs no mask for the bound: a bounded entry has probability 0.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        log_probs = torch.log_softmax(logits, dim=-1).clamp_(min=LOG_ZERO)
        ctx.save_for_backward(log_probs)
        return log_probs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (log_probs,) = ctx.saved_tensors
        return torch._log_softmax_backward_data(gradient, log_probs, -1, gradient.dtype)


def coarsen(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Merge all tokens but the given ones into one symbol: log-probabilities (..., V), tokens (..., K) -> (..., K+1).

    The last entry is the log-probability of the merged tokens. An f-divergence of two coarsened distributions is a
    lower bound of the divergence of the full ones (data-processing inequality).
    """
    others = log_probs.scatter(-1, tokens.long(), LOG_ZERO).logsumexp(-1, keepdim=True)
    return torch.cat([log_probs.gather(-1, tokens.long()), others], dim=-1)


# --- closed forms (Wen et al. 2023, Eqs. 6-10)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p‖q) = Σ p log(p/q)."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def rkl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the reverse KL, KL(q‖p) = Σ q log(q/p)."""
    return kl(log_q, log_p)


def log_mixture(log_p: Tensor, log_q: Tensor, log_odds: Tensor | float = 0.0) -> Tensor:
    """Return log m of the mixture m = w p + (1-w) q, w = sigmoid(log_odds): (..., V).

    `log_odds` is log(w / (1-w)), a number or a tensor of shape (..., 1); 0 is the even mixture of Eq. 11.
    """
    odds = torch.as_tensor(log_odds, dtype=log_p.dtype, device=log_p.device)
    log_sigmoid = torch.nn.functional.logsigmoid
    return torch.logaddexp(log_p + log_sigmoid(odds), log_q + log_sigmoid(-odds))


def kl_p_mixture(log_p: Tensor, log_q: Tensor, log_odds: Tensor | float = 0.0) -> Tensor:
    """Return KL(p‖m), the half of JS on teacher samples (Eq. 8, first sum); `log_mixture` defines m."""
    return kl(log_p, log_mixture(log_p, log_q, log_odds))


def kl_q_mixture(log_p: Tensor, log_q: Tensor, log_odds: Tensor | float = 0.0) -> Tensor:
    """Return KL(q‖m), the half of JS on student samples (Eq. 8, second sum); `log_mixture` defines m."""
    return kl(log_q, log_mixture(log_p, log_q, log_odds))


def js(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p‖m) + KL(q‖m), m = ½p + ½q: *twice* the Jensen-Shannon divergence, as f in Table 1 defines it."""
    return kl_p_mixture(log_p, log_q) + kl_q_mixture(log_p, log_q)


def tvd(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the total variation distance ½ Σ |p - q|."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


# --- any generator f


def from_generator(f: Callable[..., Tensor], log_p: Tensor, log_q: Tensor, **parameters: float) -> Tensor:
    """Return Σ q f(p/q) for any generator f; `parameters` are passed to f.

    The ratio t = p/q is clamped to exp(±40), beyond which it has no gradient. Where p > q, the term q f(t) is computed
    as p f(t)/t: weighted by q, a term whose ratio is clamped would vanish instead of reaching its limit.
    """
    ratio = (log_p - log_q).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    larger = torch.maximum(log_p, log_q).exp()
    return (larger * f(ratio, **parameters) / ratio.clamp(min=1)).sum(-1)


def _skew(t: Tensor, weight: float) -> Tensor:
    """Return the ratio m/q of the mixture m = weight·p + (1-weight)·q, given t = p/q."""
    return weight * t + (1 - weight)


def _alpha(t: Tensor, alpha: float) -> Tensor:
    if alpha == 1:
        return torch.xlogy(t, t) - (t - 1)
    if alpha == 0:
        return (t - 1) - t.log()
    return (t**alpha - 1 - alpha * (t - 1)) / (alpha * (alpha - 1))


def _generalised_js(t: Tensor, beta: float) -> Tensor:
    m = _skew(t, 1 - beta)
    return (1 - beta) * torch.xlogy(t, t / m) - beta * m.log()


@dataclass(frozen=True)
class Divergence:
    """One f-divergence: its generator f, the parameters of f, and a closed form if it has one."""

    generator: Callable[..., Tensor]
    parameters: dict[str, float] = field(default_factory=dict)  # name -> default
    closed_form: Callable[[Tensor, Tensor], Tensor] | None = None

    def __call__(self, log_p: Tensor, log_q: Tensor, **parameters: float) -> Tensor:
        """Return the divergence at each position: (..., V), (..., V) -> (...); TypeError for an unknown parameter."""
        if self.closed_form is not None:
            return self.closed_form(log_p, log_q, **parameters)
        return from_generator(self.generator, log_p, log_q, **(self.parameters | parameters))


DIVERGENCES: dict[str, Divergence] = {
    # Wen et al. 2023, Table 1
    "kl": Divergence(lambda t: torch.xlogy(t, t), closed_form=kl),
    "rkl": Divergence(lambda t: -t.log(), closed_form=rkl),
    "js": Divergence(lambda t: torch.xlogy(t, t) - (t + 1) * ((t + 1) / 2).log(), closed_form=js),
    "tvd": Divergence(lambda t: 0.5 * (t - 1).abs(), closed_form=tvd),
    # (1-β) KL(p‖m) + β KL(q‖m), m = (1-β) p + β q; β is the student's weight, and the teacher's in GKD and TRL
    "generalised_js": Divergence(_generalised_js, {"beta": 0.5}),
    # KL(p ‖ λp + (1-λ)q) and KL(q ‖ (1-λ)p + λq), DistiLLM (Ko et al. 2024)
    "skew_kl": Divergence(lambda t, skew: torch.xlogy(t, t / _skew(t, skew)), {"skew": 0.1}),
    "skew_rkl": Divergence(lambda t, skew: -_skew(t, 1 - skew).log(), {"skew": 0.1}),
    "jeffreys": Divergence(lambda t: (t - 1) * t.log()),  # KL(p‖q) + KL(q‖p)
    "squared_hellinger": Divergence(lambda t: 0.5 * (t.sqrt() - 1) ** 2),
    "pearson": Divergence(lambda t: (t - 1) ** 2),  # χ²
    "alpha": Divergence(_alpha, {"alpha": 0.5}),  # 1 is KL, 0 is reverse KL, 2 is ½ χ²
}
