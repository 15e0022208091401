"""Divergences with their parameters, random inputs for them, and naive computations in probability space."""

import math

import numpy as np
import torch
from fdistill.losses.divergences import DIVERGENCES

OTHER_PARAMETERS = [
    ("generalised_js", {"beta": 0.1}),
    ("generalised_js", {"beta": 0.8}),
    ("skew_kl", {"skew": 0.35}),
    ("skew_rkl", {"skew": 0.35}),
    ("alpha", {"alpha": 2.0}),
    ("alpha", {"alpha": -0.5}),
]
CASES = [(name, {}) for name in DIVERGENCES] + OTHER_PARAMETERS


def naive_kl(a, b):
    """KL of two lists of probabilities."""
    return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)


def mix(p, q, weight_of_p):
    """The mixture of two lists of probabilities."""
    return [weight_of_p * x + (1 - weight_of_p) * y for x, y in zip(p, q, strict=True)]


def random_distributions():
    """Twenty pairs of distributions over seven tokens, as log-probabilities in float64: two tensors (20, 7)."""
    rng = np.random.default_rng(0)
    weights = [torch.tensor(rng.dirichlet(np.full(7, 0.5), size=20) + 1e-9) for _ in range(2)]
    return tuple((x / x.sum(-1, keepdim=True)).log() for x in weights)


def random_logits(shape, dtype=torch.float64, seed=0):
    """Logits of teacher and student, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    return [(3 * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_() for _ in range(2)]
