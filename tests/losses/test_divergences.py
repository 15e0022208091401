"""The values of the divergences against independent computations in probability space, in float64."""

import math

import numpy as np
import pytest
import torch
from divergence_cases import CASES, mix, naive_kl, random_distributions, random_logits
from fdistill.config.method_table import read_terms
from fdistill.losses.divergences import (
    DIVERGENCES,
    from_generator,
    kl_p_mixture,
    kl_q_mixture,
    log_mixture,
    log_softmax,
)


def naive_js(p, q):
    return naive_kl(p, mix(p, q, 0.5)) + naive_kl(q, mix(p, q, 0.5))


def naive_generalised_js(p, q, beta=0.5):
    m = [(1 - beta) * x + beta * y for x, y in zip(p, q, strict=True)]
    return (1 - beta) * naive_kl(p, m) + beta * naive_kl(q, m)


def gkd(p, q, beta):
    """The generalised JSD of GKD (Agarwal et al. 2024, section 3) and of TRL: beta is the weight of the teacher, p."""
    m = [beta * x + (1 - beta) * y for x, y in zip(p, q, strict=True)]
    return beta * naive_kl(p, m) + (1 - beta) * naive_kl(q, m)


def naive_alpha(p, q, alpha=0.5):
    return (sum(x**alpha * y ** (1 - alpha) for x, y in zip(p, q, strict=True)) - 1) / (alpha * (alpha - 1))


NAIVE = {
    "kl": naive_kl,
    "rkl": lambda p, q: naive_kl(q, p),
    "js": naive_js,
    "tvd": lambda p, q: 0.5 * sum(abs(x - y) for x, y in zip(p, q, strict=True)),
    "generalised_js": naive_generalised_js,
    "skew_kl": lambda p, q, skew=0.1: naive_kl(p, mix(p, q, skew)),
    "skew_rkl": lambda p, q, skew=0.1: naive_kl(q, mix(p, q, 1 - skew)),
    "jeffreys": lambda p, q: naive_kl(p, q) + naive_kl(q, p),
    "squared_hellinger": lambda p, q: 0.5 * sum((x**0.5 - y**0.5) ** 2 for x, y in zip(p, q, strict=True)),
    "pearson": lambda p, q: sum((x - y) ** 2 / y for x, y in zip(p, q, strict=True)),
    "alpha": naive_alpha,
}
CLOSED = [name for name, divergence in DIVERGENCES.items() if divergence.closed_form]


@pytest.fixture
def pair():
    """log p and log q of twenty pairs of distributions, (20, 7)."""
    return random_distributions()


# --- values


def test_the_four_of_table_1_have_closed_forms():
    assert CLOSED == ["kl", "rkl", "js", "tvd"]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_value_equals_the_naive_sum(name, parameters, pair):
    log_p, log_q = pair
    values = DIVERGENCES[name](log_p, log_q, **parameters)
    rows = zip(log_p.exp().tolist(), log_q.exp().tolist(), strict=True)
    expected = [NAIVE[name](p, q, **parameters) for p, q in rows]
    assert values.shape == (20,)
    assert values.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", CLOSED)
def test_generator_agrees_with_closed_form_in_value_and_gradient(name):
    grads, values = [], []
    for path in (
        DIVERGENCES[name].closed_form,
        lambda p, q: from_generator(DIVERGENCES[name].generator, p, q),
    ):
        teacher, student = random_logits((5, 6))
        values.append(path(log_softmax(teacher), log_softmax(student)))
        values[-1].sum().backward()
        grads.append((teacher.grad, student.grad))
    torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_generator_is_convex_and_zero_at_one(name, parameters):
    divergence = DIVERGENCES[name]
    chosen = divergence.parameters | parameters
    f = lambda t: divergence.generator(t, **chosen)  # noqa: E731
    assert f(torch.ones((), dtype=torch.float64)).item() == pytest.approx(0, abs=1e-12)
    s, t = torch.tensor(np.random.default_rng(0).uniform(0.01, 20, (2, 500)))
    assert (f((s + t) / 2) <= (f(s) + f(t)) / 2 + 1e-9).all()


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_zero_exactly_when_equal(name, parameters, pair):
    log_p, log_q = pair
    divergence = DIVERGENCES[name]
    torch.testing.assert_close(divergence(log_p, log_p, **parameters), torch.zeros(20).double(), atol=1e-12, rtol=0)
    assert (divergence(log_p, log_q, **parameters) > 1e-3).all()
    nearly = torch.log_softmax(log_p + 0.01 * torch.arange(7), -1)
    assert (divergence(log_p, nearly, **parameters) > 0).all()


def test_bounds(pair):
    log_p, log_q = pair
    kl, js, tvd, hellinger = (DIVERGENCES[n](log_p, log_q) for n in ("kl", "js", "tvd", "squared_hellinger"))
    assert (js / 2 <= math.log(2)).all()
    assert (tvd <= 1).all()
    assert (tvd <= (kl / 2).sqrt()).all()  # Pinsker
    assert (hellinger <= tvd).all()
    assert (tvd <= (2 * hellinger).sqrt()).all()


# --- relations between them


def test_relations(pair):
    log_p, log_q = pair
    d = {name: divergence(log_p, log_q) for name, divergence in DIVERGENCES.items()}
    swapped = {name: divergence(log_q, log_p) for name, divergence in DIVERGENCES.items()}
    close = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)  # noqa: E731
    close(d["jeffreys"], d["kl"] + d["rkl"])
    close(d["rkl"], swapped["kl"])
    close(d["js"], swapped["js"])
    close(d["tvd"], swapped["tvd"])
    close(d["js"], 2 * d["generalised_js"])
    close(d["skew_rkl"], swapped["skew_kl"])
    close(DIVERGENCES["alpha"](log_p, log_q, alpha=2.0), d["pearson"] / 2)
    close(d["alpha"], 4 * d["squared_hellinger"])


def test_limits_of_the_parameters(pair):
    log_p, log_q = pair
    d = {name: divergence(log_p, log_q) for name, divergence in DIVERGENCES.items()}
    close = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    close(DIVERGENCES["skew_kl"](log_p, log_q, skew=0.0), d["kl"])
    close(DIVERGENCES["skew_rkl"](log_p, log_q, skew=0.0), d["rkl"])
    for near, name in ((1.0, "kl"), (0.0, "rkl")):
        close(DIVERGENCES["alpha"](log_p, log_q, alpha=near), d[name])
        close(DIVERGENCES["alpha"](log_p, log_q, alpha=near + 1e-6), d[name])
    # (1-β) KL(p‖m) + β KL(q‖m) is KL(p‖q)·β to first order at β = 0, and KL(q‖p)·(1-β) at β = 1
    close(DIVERGENCES["generalised_js"](log_p, log_q, beta=1e-7) / 1e-7, d["rkl"])
    close(DIVERGENCES["generalised_js"](log_p, log_q, beta=1 - 1e-7) / 1e-7, d["kl"])


@pytest.mark.parametrize("theirs", [0.1, 0.25, 0.5, 0.9])
def test_gkds_beta_is_the_teachers_weight_and_ours_the_students(theirs, pair):
    """Near 0 theirs is KL and ours reverse KL, up to a factor; near 1 it is the other way round."""
    rows = list(zip(*(x.exp().tolist() for x in pair), strict=True))
    expected = [gkd(p, q, theirs) for p, q in rows]
    (term,) = read_terms([{"sequences": "student_samples", "loss": "generalised_js",
                           "parameters": {"teacher_weight": theirs}}])[0]  # fmt: skip
    assert DIVERGENCES["generalised_js"](*pair, **term["parameters"]).tolist() == pytest.approx(expected, rel=1e-9)
    mirrored = DIVERGENCES["generalised_js"](*pair, beta=theirs).tolist()
    assert (mirrored == pytest.approx(expected, rel=1e-3)) == (theirs == 0.5)
    log_odds = math.log(theirs / (1 - theirs))
    halves = theirs * kl_p_mixture(*pair, log_odds) + (1 - theirs) * kl_q_mixture(*pair, log_odds)
    assert halves.tolist() == pytest.approx(expected, rel=1e-9)


def test_an_unknown_parameter_is_refused(pair):
    log_p, log_q = pair
    for name in DIVERGENCES:
        with pytest.raises(TypeError):
            DIVERGENCES[name](log_p, log_q, no_such_parameter=1.0)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.7])
def test_mixture_halves_weigh_the_sides_as_named(beta, pair):
    """m = (1-β) p + β q, asymmetric on purpose: swapped weights fail here."""
    log_p, log_q = pair
    log_odds = math.log((1 - beta) / beta)  # of p over q
    rows = list(zip(log_p.exp().tolist(), log_q.exp().tolist(), strict=True))
    m = [mix(p, q, 1 - beta) for p, q in rows]
    torch.testing.assert_close(log_mixture(log_p, log_q, log_odds).exp(), torch.tensor(m).double())
    p_half = [naive_kl(p, one) for (p, _), one in zip(rows, m, strict=True)]
    q_half = [naive_kl(q, one) for (_, q), one in zip(rows, m, strict=True)]
    assert kl_p_mixture(log_p, log_q, log_odds).tolist() == pytest.approx(p_half, rel=1e-9)
    assert kl_q_mixture(log_p, log_q, log_odds).tolist() == pytest.approx(q_half, rel=1e-9)
    whole = (1 - beta) * np.array(p_half) + beta * np.array(q_half)
    assert DIVERGENCES["generalised_js"](log_p, log_q, beta=beta).tolist() == pytest.approx(whole.tolist(), rel=1e-9)


def test_mixture_takes_one_weight_per_position():
    log_p, log_q = (log_softmax(x.detach()) for x in random_logits((2, 3, 5)))
    odds = torch.randn(2, 3, 1, dtype=torch.float64)
    w = 1 / (1 + (-odds).exp())
    torch.testing.assert_close(log_mixture(log_p, log_q, odds).exp(), w * log_p.exp() + (1 - w) * log_q.exp())
