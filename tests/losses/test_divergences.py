"""The divergences against independent computations in probability space, in float64 and by hand."""

import math

import numpy as np
import pytest
import torch
from fdistill.losses.divergences import (
    DIVERGENCES,
    from_generator,
    kl_p_mixture,
    kl_q_mixture,
    log_softmax,
    mixture,
)


def naive_kl(a, b):
    return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)


def mix(p, q, weight_of_p):
    return [weight_of_p * x + (1 - weight_of_p) * y for x, y in zip(p, q, strict=True)]


def naive_js(p, q):
    return naive_kl(p, mix(p, q, 0.5)) + naive_kl(q, mix(p, q, 0.5))


def naive_generalised_js(p, q, beta=0.5):
    m = [(1 - beta) * x + beta * y for x, y in zip(p, q, strict=True)]
    return (1 - beta) * naive_kl(p, m) + beta * naive_kl(q, m)


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
OTHER_PARAMETERS = [
    ("generalised_js", {"beta": 0.1}),
    ("generalised_js", {"beta": 0.8}),
    ("skew_kl", {"skew": 0.35}),
    ("skew_rkl", {"skew": 0.35}),
    ("alpha", {"alpha": 2.0}),
    ("alpha", {"alpha": -0.5}),
]
CASES = [(name, {}) for name in DIVERGENCES] + OTHER_PARAMETERS
CLOSED = [name for name, divergence in DIVERGENCES.items() if divergence.closed_form]


@pytest.fixture
def pair():
    """Twenty pairs of distributions over seven tokens, (20, 7), as float64 tensors of probabilities."""
    rng = np.random.default_rng(0)
    return tuple(torch.tensor(rng.dirichlet(np.full(7, 0.5), size=20) + 1e-9) for _ in range(2))


def normalise(pair):
    return tuple((x / x.sum(-1, keepdim=True)).log() for x in pair)


def random_logits(shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [(3 * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_() for _ in range(2)]


# --- values


def test_the_four_of_table_1_have_closed_forms():
    assert CLOSED == ["kl", "rkl", "js", "tvd"]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_value_equals_the_naive_sum(name, parameters, pair):
    log_p, log_q = normalise(pair)
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
    log_p, log_q = normalise(pair)
    divergence = DIVERGENCES[name]
    torch.testing.assert_close(divergence(log_p, log_p, **parameters), torch.zeros(20).double(), atol=1e-12, rtol=0)
    assert (divergence(log_p, log_q, **parameters) > 1e-3).all()
    nearly = torch.log_softmax(log_p + 0.01 * torch.arange(7), -1)
    assert (divergence(log_p, nearly, **parameters) > 0).all()


def test_bounds(pair):
    log_p, log_q = normalise(pair)
    kl, js, tvd, hellinger = (DIVERGENCES[n](log_p, log_q) for n in ("kl", "js", "tvd", "squared_hellinger"))
    assert (js / 2 <= math.log(2)).all()
    assert (tvd <= 1).all()
    assert (tvd <= (kl / 2).sqrt()).all()  # Pinsker
    assert (hellinger <= tvd).all()
    assert (tvd <= (2 * hellinger).sqrt()).all()


# --- relations between them


def test_relations(pair):
    log_p, log_q = normalise(pair)
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
    log_p, log_q = normalise(pair)
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


def test_an_unknown_parameter_is_refused(pair):
    log_p, log_q = normalise(pair)
    for name in DIVERGENCES:
        with pytest.raises(TypeError):
            DIVERGENCES[name](log_p, log_q, no_such_parameter=1.0)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.7])
def test_mixture_halves_weigh_the_sides_as_named(beta, pair):
    """m = (1-β) p + β q, asymmetric on purpose: swapped weights fail here."""
    log_p, log_q = normalise(pair)
    log_odds = math.log((1 - beta) / beta)  # of p over q
    rows = list(zip(log_p.exp().tolist(), log_q.exp().tolist(), strict=True))
    m = [mix(p, q, 1 - beta) for p, q in rows]
    torch.testing.assert_close(mixture(log_p, log_q, log_odds).exp(), torch.tensor(m).double())
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
    torch.testing.assert_close(mixture(log_p, log_q, odds).exp(), w * log_p.exp() + (1 - w) * log_q.exp())


def test_nothing_is_added_inside_the_logarithm():
    """With log(m + 1e-10) the halves of JS would be wrong by an order of magnitude here."""
    p, q = (1 - 1e-11, 1e-11), (1 - 1e-15, 1e-15)
    log_p, log_q = (torch.tensor([[math.log1p(-tail), math.log(tail)]]).double() for _, tail in (p, q))
    assert mixture(log_p, log_q)[0, 1].exp().item() == pytest.approx((1e-11 + 1e-15) / 2, rel=1e-10)
    # second-order expansion of KL(p‖m) for the first symbol: -(p - m) + ..., exact to 1e-22
    tail_m = (1e-11 + 1e-15) / 2
    expected = 1e-11 * math.log(1e-11 / tail_m) - (1e-11 - tail_m)
    assert kl_p_mixture(log_p, log_q).item() == pytest.approx(expected, rel=1e-4)


# --- gradients and extremes


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_gradient_is_that_of_the_value(name, parameters):
    divergence = DIVERGENCES[name]
    assert torch.autograd.gradcheck(
        lambda p, q: divergence(log_softmax(p), log_softmax(q), **parameters), random_logits((3, 5))
    )


@pytest.mark.parametrize("half", [kl_p_mixture, kl_q_mixture])
def test_gradient_of_the_mixture_halves(half):
    odds = torch.randn(3, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p, q, r: half(log_softmax(p), log_softmax(q), r), (*random_logits((3, 5)), odds)
    )


FUNCTIONS = {
    **{f"{name}{list(given.values()) or ''}": (DIVERGENCES[name], given) for name, given in CASES},
    "kl_p_mixture": (kl_p_mixture, {}),
    "kl_q_mixture": (kl_q_mixture, {}),
    "kl_p_mixture, huge odds": (kl_p_mixture, {"log_odds": 1e6}),
    "kl_q_mixture, huge odds": (kl_q_mixture, {"log_odds": -1e6}),
}
INFINITY = float("inf")
EXTREMES = {
    "one-hot, -inf": [[0.0, -INFINITY, -INFINITY, -INFINITY]],
    "one-hot, 1e4": [[1e4, -1e4, -1e4, -1e4]],
    "two tokens left": [[0.0, 0.0, -INFINITY, -INFINITY]],
    "steep": [[1e4, 5e3, -5e3, -1e4]],
    "moderate": [[0.3, -1.0, 2.0, 0.0]],
    "another one-hot": [[-1e4, 1e4, -1e4, -1e4]],
    "90 nats apart": [[0.0, -90.0, -90.0, -45.0]],
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_value_and_gradient_are_finite_at_the_extremes(name, dtype):
    function, parameters = FUNCTIONS[name]
    for teacher in EXTREMES.values():
        for student in EXTREMES.values():
            p, q = (torch.tensor(x, dtype=dtype, requires_grad=True) for x in (teacher, student))
            value = function(log_softmax(p), log_softmax(q), **parameters)
            value.sum().backward()
            assert torch.isfinite(value).all(), (teacher, student)
            assert torch.isfinite(p.grad).all() and torch.isfinite(q.grad).all(), (teacher, student)
            assert value.item() > -1e-5, (teacher, student)


# D(one-hot p ‖ one-hot q) of another token, from the definitions: Σ p log(1/λ) and so on
DISJOINT = {
    "js": 2 * math.log(2),
    "tvd": 1.0,
    "generalised_js": math.log(2),
    "skew_kl": math.log(1 / 0.1),
    "skew_rkl": math.log(1 / 0.1),
    "squared_hellinger": 1.0,
    "alpha": 4.0,
}


@pytest.mark.parametrize("name", DISJOINT)
@pytest.mark.parametrize("gap", [60.0, 1e4])
def test_disjoint_distributions_reach_the_maximum(name, gap):
    p, q = (log_softmax(torch.tensor(x)) for x in ([0.0, -gap, -gap], [-gap, 0.0, -gap]))
    assert DIVERGENCES[name](p, q).item() == pytest.approx(DISJOINT[name], rel=1e-4)


@pytest.mark.parametrize("name", [name for name in DIVERGENCES if name not in DISJOINT])
def test_unbounded_divergences_keep_growing(name):
    def at(gap):
        p, q = (log_softmax(torch.tensor(x)) for x in ([0.0, -gap, -gap], [-gap, 0.0, -gap]))
        return DIVERGENCES[name](p, q).item()

    assert 1 < at(10.0) < at(20.0) < at(35.0) <= at(1e4)


def test_one_hot_teacher_is_cross_entropy():
    student = torch.randn(6, generator=torch.Generator().manual_seed(1))
    teacher = torch.full((6,), -INFINITY)
    teacher[2] = 0.0
    value = DIVERGENCES["kl"](log_softmax(teacher), log_softmax(student))
    assert value.item() == pytest.approx(-math.log(torch.softmax(student, -1)[2].item()), rel=1e-5)
    tvd = DIVERGENCES["tvd"](log_softmax(teacher), log_softmax(student))
    assert tvd.item() == pytest.approx(1 - torch.softmax(student, -1)[2].item(), rel=1e-5)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_bf16_logits_are_compared_in_float32(name):
    p, q = (x.detach().bfloat16() for x in random_logits((4, 50)))
    value = DIVERGENCES[name](log_softmax(p), log_softmax(q))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = DIVERGENCES[name](log_softmax(p), log_softmax(q))
    exact = DIVERGENCES[name](log_softmax(p.double()), log_softmax(q.double()))
    assert value.dtype == inside.dtype == torch.float32
    torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(inside, value)


def test_log_softmax_has_a_temperature_and_a_floor():
    logits = torch.tensor([2.0, 0.0, -INFINITY])
    assert log_softmax(logits, 2.0)[:2].tolist() == pytest.approx(torch.tensor([1.0, 0.0]).log_softmax(-1).tolist())
    assert math.isfinite(log_softmax(logits)[2].item())
    assert log_softmax(logits)[2].exp().item() == 0.0
