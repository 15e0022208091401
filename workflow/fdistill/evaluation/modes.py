"""Mode averaging and mode collapse: students of one mode, fitted to teachers of two by each method's objective.

This is the experiment that Figure 1 of Wen et al. 2023 sketches. Teacher and student are distributions over a sequence
of one symbol, out of `SYMBOLS` on a line. Its only position has no prefix, so that the step-wise losses of
`fdistill.losses` depend on no sample, whatever kind of sequence a term names: objectives and risks are exact sums over
all symbols, in float64, and nothing is sampled.
"""

from itertools import islice, product
from typing import Any

import torch
from torch import Tensor

from fdistill.losses.divergences import log_softmax
from fdistill.losses.inputs import LABELS, LossInputs
from fdistill.losses.objectives import Objective
from fdistill.losses.step_losses import LOSSES
from fdistill.runtime.errors import UserError

SYMBOLS = 100
# The modes of each teacher, means and widths (standard deviations) in symbols. With the first shares JS averages the
# modes, with the second it takes one of them.
TEACHERS = [
    [{"share": share, "mean": 30.0, "width": 6.0}, {"share": 1 - share, "mean": 70.0, "width": 8.0}]
    for share in (0.6, 0.75)
]
STARTS = list(product((10.0, 30.0, 50.0, 70.0, 90.0), (3.0, 10.0, 30.0)))  # mean and width of a student at step 0
STEPS = 400
# Of Adam. The averages are short, because the first gradients of a student far from the teacher are a thousand times
# the later ones. Both rates fall to 0 along a cosine: TVD has kinks, at which a constant rate would not settle.
MEAN_RATE, LOG_WIDTH_RATE, BETAS = 1.0, 0.1, (0.9, 0.9)


def gaussian(mean: Tensor, width: Tensor) -> Tensor:
    """Return the log-probabilities of discretised Gaussians over the symbols: (...), (...) -> (..., SYMBOLS)."""
    distance = torch.arange(SYMBOLS, dtype=torch.float64) - mean.unsqueeze(-1)
    return log_softmax(-0.5 * (distance / width.unsqueeze(-1)) ** 2)


def teacher(modes: list[dict[str, float]]) -> Tensor:
    """Return the log-probabilities (SYMBOLS,) of a mixture of modes, an entry of `TEACHERS`."""
    share, mean, width = (
        torch.tensor([mode[key] for mode in modes], dtype=torch.float64) for key in ("share", "mean", "width")
    )
    return (gaussian(mean, width) + share.log().unsqueeze(-1)).logsumexp(0)


def student(fitted: dict[str, float]) -> Tensor:
    """Return the log-probabilities (SYMBOLS,) of a student, given as its mean and width."""
    return gaussian(*(torch.tensor(fitted[key], dtype=torch.float64) for key in ("mean", "width")))


def fit(terms: list[dict[str, Any]], log_p: Tensor, starts: list[tuple[float, float]]) -> list[dict[str, float]]:
    """Return the students that gradient descent on a method's objective ends with, one for each start.

    `terms` is the method's list in `config/methods.yaml`; `log_p` (N, SYMBOLS) has the teacher of each of N `starts`,
    (mean, width). A student is its mean and width in symbols, with the value of the objective. An objective can have
    several minima, so that students of one teacher differ. ENGINE's has none: the narrower a student, the lower it is.
    """
    objective = Objective.from_config(terms)
    mean, width = torch.tensor(starts, dtype=torch.float64).unbind(-1)
    mean, log_width = mean.clone().requires_grad_(), width.log().requires_grad_()
    rates = [{"params": [mean], "lr": MEAN_RATE}, {"params": [log_width], "lr": LOG_WIDTH_RATE}]
    optimizer = torch.optim.Adam(rates, betas=BETAS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        _sum(objective, log_p, gaussian(mean, log_width.exp())).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        width = log_width.exp()
        rows = zip(log_p.split(1), gaussian(mean, width).split(1), strict=True)
        values = [_sum(objective, *row).item() for row in rows]
    return [
        {"mean": m, "width": w, "objective": value}
        for m, w, value in zip(mean.tolist(), width.tolist(), values, strict=True)
    ]


def _sum(objective: Objective, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the objective's sum over N pairs of teacher and student, (N, SYMBOLS) each: a batch of N positions."""
    labels = torch.zeros(len(log_q), 1, dtype=torch.long)  # any symbol: a first position's losses depend on none
    inputs = LossInputs(labels, student_logits=log_q, teacher_logits=log_p)
    return sum(term.evaluate(inputs, {LABELS: 1}) for term in objective.terms)


def experiment(methods: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Fit a student to each of `TEACHERS` by every method, given as its terms.

    Returns `{"symbols", "teachers": [{"modes", "entropy", "students": {method: {"mean", "width", "objective", "r_llh",
    "r_cvg", "ends"}}}]}`, risks and entropy in nats. A student is the one with the lowest objective, its method's own;
    `ends` has those of all starts. Raises UserError without methods, and for a loss that is no function of the two
    distributions.
    """
    if not methods:
        raise UserError("--methods: there is none; give at least one method with its terms")
    for method, terms in methods.items():
        for name in (term["loss"] for term in terms):
            if LOSSES[name].compares_layers or not LOSSES[name].needs_teacher:
                raise UserError(
                    f"{method}: the loss '{name}' needs texts or hidden states, and here are only two distributions; "
                    "leave the method out"
                )
    log_p = [teacher(modes) for modes in TEACHERS]
    rows, starts = torch.stack(log_p).repeat_interleave(len(STARTS), 0), STARTS * len(TEACHERS)
    ends = {method: iter(fit(terms, rows, starts)) for method, terms in methods.items()}
    fitted = [
        {
            "modes": modes,
            "entropy": _cross_entropy(log_probs, log_probs),
            "students": {method: _best(log_probs, list(islice(of, len(STARTS)))) for method, of in ends.items()},
        }
        for modes, log_probs in zip(TEACHERS, log_p, strict=True)
    ]
    return {"symbols": SYMBOLS, "teachers": fitted}


def _best(log_p: Tensor, ends: list[dict[str, float]]) -> dict[str, Any]:
    """Return the best of the students that `fit` has made from `STARTS`, with its risks."""
    best = min(ends, key=lambda end: end["objective"])
    log_q = student(best)
    risks = {"r_llh": _cross_entropy(log_q, log_p), "r_cvg": _cross_entropy(log_p, log_q)}
    starts = [{"start": {"mean": m, "width": w}} | end for (m, w), end in zip(STARTS, ends, strict=True)]
    return {**best, **risks, "ends": starts}


def _cross_entropy(log_a: Tensor, log_b: Tensor) -> float:
    """Return -Σ a log b in nats: R_llh of a student a and teacher b, R_cvg of a teacher a and student b."""
    return -(log_a.exp() * log_b).sum().item()
