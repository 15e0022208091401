"""The divergences' numerics: gradients, extreme logits, one-hot distributions, and low precision."""

import math

import pytest
import torch
from divergence_cases import CASES, random_logits
from fdistill.losses.divergences import DIVERGENCES, kl_p_mixture, kl_q_mixture, log_mixture, log_softmax


def test_nothing_is_added_inside_the_logarithm():
    """With log(m + 1e-10) the halves of JS would be wrong by an order of magnitude here."""
    p, q = (1 - 1e-11, 1e-11), (1 - 1e-15, 1e-15)
    log_p, log_q = (torch.tensor([[math.log1p(-tail), math.log(tail)]]).double() for _, tail in (p, q))
    assert log_mixture(log_p, log_q)[0, 1].exp().item() == pytest.approx((1e-11 + 1e-15) / 2, rel=1e-10)
    # second-order expansion of KL(p‖m) for the first symbol: -(p - m) + ..., exact to 1e-22
    tail_m = (1e-11 + 1e-15) / 2
    expected = 1e-11 * math.log(1e-11 / tail_m) - (1e-11 - tail_m)
    assert kl_p_mixture(log_p, log_q).item() == pytest.approx(expected, rel=1e-4)


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
