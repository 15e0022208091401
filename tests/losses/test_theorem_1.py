"""Theorem 1 by enumeration: the step-wise objectives against sequence-level divergences over *all* sequences.

Teacher and student are tables of conditionals over three tokens, one of them EOS, up to four positions; the
sequences (the leaves of the tree) have unequal lengths. The losses are the library's own;
what they are compared with is computed from whole-sequence probabilities.
"""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
import yaml
from fdistill.losses.inputs import IGNORE, LABELS, LossInputs
from fdistill.losses.objectives import Objective, Term
from fdistill.losses.sequences import FROM_STUDENT, GROUND_TRUTH
from fdistill.losses.step_losses import LOSSES
from snake import ROOT

EOS, VOCABULARY, LENGTH = 0, 3, 4
METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())


def all_sequences():
    """Every sequence that ends in its first EOS, or is LENGTH long without one."""
    complete = []
    for length in range(1, LENGTH + 1):
        for tokens in product(range(VOCABULARY), repeat=length):
            ends = tokens[-1] == EOS
            if EOS not in tokens[:-1] and (ends or length == LENGTH):
                complete.append(tokens)
    return complete


SEQUENCES = all_sequences()
PREFIXES = sorted({tokens[:t] for tokens in SEQUENCES for t in range(len(tokens))})


def table(seed, scale=1.5):
    """Logits of the next token for every prefix."""
    generator = torch.Generator().manual_seed(seed)
    return {
        prefix: (scale * torch.randn(VOCABULARY, dtype=torch.float64, generator=generator)).requires_grad_()
        for prefix in PREFIXES
    }


def probabilities(logits):
    """P(y) of every sequence: a product over its steps."""
    result = []
    for tokens in SEQUENCES:
        steps = [torch.softmax(logits[tokens[:t]], -1)[token] for t, token in enumerate(tokens)]
        result.append(torch.stack(steps).prod())
    return torch.stack(result)


def inputs_of(tokens, teacher, student):
    """The losses' inputs for one sequence, padded."""
    rows = [torch.stack([logits[tokens[:t]] for t in range(len(tokens))]) for logits in (student, teacher)]
    return LossInputs(torch.tensor([[*tokens, *[IGNORE] * (LENGTH - len(tokens))]]), *rows)


def expectation(terms, teacher, student):
    """Σ over terms and sequences: P(y) or Q(y), under stop-gradient, times the step-wise sum along y."""
    weights = {True: probabilities(student).detach(), False: probabilities(teacher).detach()}
    total = 0.0
    for term in terms:
        for weight, tokens in zip(weights[term.sequences in FROM_STUDENT], SEQUENCES, strict=True):
            total = total + weight * term.evaluate(inputs_of(tokens, teacher, student), {LABELS: 1})
    return total


def method(name):
    return Objective.from_config(METHODS[name]["terms"]).terms


def kl(a, b):
    return (a * (a / b).log()).sum()


@pytest.fixture
def pair():
    """Teacher table, student table, P and Q."""
    teacher, student = table(1), table(2)
    return teacher, student, probabilities(teacher), probabilities(student)


def gradient(value, logits):
    grads = torch.autograd.grad(value, list(logits.values()), allow_unused=True, retain_graph=True)
    return torch.stack([torch.zeros(VOCABULARY).double() if g is None else g for g in grads])


def test_the_sequences_are_all_there_is(pair):
    *_, p, q = pair
    assert len(SEQUENCES) == 31 and {len(s) for s in SEQUENCES} == {1, 2, 3, 4}
    assert p.sum().item() == pytest.approx(1) and q.sum().item() == pytest.approx(1)


# --- Theorem 1 (a): identities


def test_kl_decomposes(pair):
    teacher, student, p, q = pair
    assert expectation(method("kl"), teacher, student).item() == pytest.approx(kl(p, q).item(), rel=1e-12)


def test_kl_gradient_is_that_of_the_sequence_level(pair):
    teacher, student, p, q = pair
    steps = gradient(expectation(method("kl"), teacher, student), student)
    torch.testing.assert_close(steps, gradient(kl(p.detach(), q), student), rtol=1e-10, atol=1e-12)


def test_rkl_decomposes(pair):
    teacher, student, p, q = pair
    assert expectation(method("rkl"), teacher, student).item() == pytest.approx(kl(q, p).item(), rel=1e-12)


def test_exact_js_decomposes(pair):
    teacher, student, p, q = pair
    m = (p + q) / 2
    js = 0.5 * kl(p, m) + 0.5 * kl(q, m)
    assert expectation(method("js_exact"), teacher, student).item() == pytest.approx(js.item(), rel=1e-12)
    assert js.item() < math.log(2)


def test_stepwise_mixture_does_not(pair):
    """Eq. 11 replaces m's conditional by the even mixture; the result is near, but is not the JS of Eq. 8."""
    teacher, student, p, q = pair
    m = (p + q) / 2
    js = (0.5 * kl(p, m) + 0.5 * kl(q, m)).item()
    approximate = expectation(method("js"), teacher, student).item()
    assert abs(approximate - js) > 0.05 * js


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.8])
def test_each_exact_half_is_a_sequence_level_divergence(pair, beta):
    """KL(P‖M) and KL(Q‖M), M = (1-β) P + β Q: asymmetric weights tell the two sides apart."""
    teacher, student, p, q = pair
    m = (1 - beta) * p + beta * q
    parameters = {"beta": beta, "exact": True}
    p_half = Term("teacher_samples", "kl_p_mixture", parameters=parameters)
    q_half = Term("student_samples", "kl_q_mixture", parameters=parameters)
    assert expectation([p_half], teacher, student).item() == pytest.approx(kl(p, m).item(), rel=1e-12)
    assert expectation([q_half], teacher, student).item() == pytest.approx(kl(q, m).item(), rel=1e-12)


@pytest.mark.parametrize("beta", [0.2, 0.5])
def test_gradient_of_the_exact_p_half_is_that_of_the_sequence_level(pair, beta):
    """P is fixed, so nothing is lost under stop-gradient: the prefix weights must carry their gradient."""
    teacher, student, p, q = pair
    half = Term("teacher_samples", "kl_p_mixture", parameters={"beta": beta, "exact": True})
    steps = gradient(expectation([half], teacher, student), student)
    whole = gradient(kl(p.detach(), (1 - beta) * p.detach() + beta * q), student)
    torch.testing.assert_close(steps, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("half", ["kl_p_mixture", "kl_q_mixture"])
def test_held_weights_are_those_of_the_exact_mixture_without_their_gradient(pair, half):
    teacher, student, *_ = pair
    tokens = SEQUENCES[-1]
    inputs = inputs_of(tokens, teacher, student)
    held, exact = (LOSSES[half].function(inputs, exact=which) for which in ("held", True))
    torch.testing.assert_close(held, exact)
    expected, of_teacher, of_student = 0, 1.0, 1.0  # the prefix's probabilities, as numbers
    for t, token in enumerate(tokens):
        p, q = (torch.softmax(logits[tokens[:t]], -1) for logits in (teacher, student))
        m = (of_teacher * p + of_student * q) / (of_teacher + of_student)
        expected = expected + kl(p if half == "kl_p_mixture" else q, m)
        of_teacher, of_student = of_teacher * p[token].item(), of_student * q[token].item()
    torch.testing.assert_close(gradient(held.sum(), student), gradient(expected, student), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(gradient(exact.sum(), student), gradient(held.sum(), student))


@pytest.mark.parametrize("half", ["kl_p_mixture", "kl_q_mixture"])
@pytest.mark.parametrize("beta", [0.2, 0.5])
def test_stepwise_halves_weigh_p_and_q_as_named(pair, half, beta):
    teacher, student, *_ = pair
    tokens = SEQUENCES[-1]
    values = LOSSES[half].function(inputs_of(tokens, teacher, student), beta=beta)
    for t in range(LENGTH):
        p, q = (torch.softmax(logits[tokens[:t]], -1) for logits in (teacher, student))
        m = (1 - beta) * p + beta * q
        assert values[t].item() == pytest.approx(kl(p if half == "kl_p_mixture" else q, m).item(), rel=1e-10)


def test_exact_mixture_is_finite_after_a_prefix_the_other_model_excludes():
    """r_t is then ±1e6 and more: the weights saturate, value and gradient stay finite."""
    labels = torch.tensor([[1, 1, 2, EOS]])
    student = torch.tensor([[0.0, -1e4, 0.0]] * 4, requires_grad=True)
    teacher = torch.tensor([[-1e4, 1e4, -math.inf]] * 4)
    for name in ("kl_p_mixture", "kl_q_mixture"):
        for beta in (0.0, 0.5, 1.0):
            value = LOSSES[name].function(LossInputs(labels, student, teacher), beta=beta, exact=True)
            assert torch.isfinite(value).all()
            assert torch.isfinite(torch.autograd.grad(value.sum(), student)[0]).all()


# --- Theorem 1 (b): bounds


@pytest.mark.parametrize("seed", range(3))
def test_stepwise_tvd_bounds_the_sequence_level_one(seed):
    teacher, student = table(seed), table(seed + 100)
    p, q = probabilities(teacher), probabilities(student)
    whole = 0.5 * (p - q).abs().sum().item()
    assert whole <= 1
    assert expectation(method("tvd"), teacher, student).item() >= whole
    for sequences in ("teacher_samples", "student_samples"):
        assert expectation([Term(sequences, "tvd")], teacher, student).item() >= whole


def test_tvd_method_is_the_mean_of_its_halves(pair):
    teacher, student, *_ = pair
    halves = [expectation([Term(s, "tvd")], teacher, student) for s in ("teacher_samples", "student_samples")]
    torch.testing.assert_close(expectation(method("tvd"), teacher, student), sum(halves) / 2)


# --- the other methods


def test_engine_lacks_the_entropy_of_rkl(pair):
    teacher, student, p, q = pair
    engine = expectation(method("engine"), teacher, student)
    assert engine.item() == pytest.approx(-(q * p.log()).sum().item(), rel=1e-12)
    entropy = -(q * q.log()).sum()
    rkl = expectation(method("rkl"), teacher, student)
    assert engine.item() - rkl.item() == pytest.approx(entropy.item(), rel=1e-10)


def test_minillms_gradient_is_that_of_the_sequence_level_rkl(pair):
    """Step-wise RKL and the policy gradient, without length normalisation: together, not alone."""
    teacher, student, p, q = pair
    step_wise, long_term = method("minillm")
    whole = gradient(kl(q, p), student)
    unnormalised = replace(long_term, parameters={"per_token": False})
    torch.testing.assert_close(gradient(expectation([step_wise, unnormalised], teacher, student), student), whole)
    for terms in ([step_wise], [step_wise, long_term]):
        assert (gradient(expectation(terms, teacher, student), student) - whole).abs().max() > 1e-2


def test_minillms_reward_is_the_mean_log_ratio_of_the_tokens_that_follow(pair):
    teacher, student, *_ = pair
    tokens = (1, 2, 1, EOS)
    ratios = [
        (torch.log_softmax(teacher[tokens[:t]], -1) - torch.log_softmax(student[tokens[:t]], -1))[token].item()
        for t, token in enumerate(tokens)
    ]
    values = LOSSES["policy_gradient"].function(inputs_of(tokens, teacher, student))
    for t, value in enumerate(values):
        later = ratios[t + 1 :]
        log_q = torch.log_softmax(student[tokens[:t]], -1)[tokens[t]].item()
        assert value.item() == pytest.approx(-log_q * (sum(later) / len(later) if later else 0), rel=1e-10)


def test_seqkd_is_cross_entropy_with_its_sequences(pair):
    """Here over all of P instead of its mode: -Σ P log Q, the student's part of KL(P‖Q)."""
    teacher, student, p, q = pair
    seqkd = expectation(method("seqkd"), teacher, student)
    assert seqkd.item() == pytest.approx(-(p * q.log()).sum().item(), rel=1e-12)
    assert [term.sequences for term in method("seqkd")] == ["teacher_beam"]
    assert [term.sequences for term in method("mle")] == [GROUND_TRUTH]


def divergence_terms(name):
    return [term for term in method(name) if term.loss not in ("nll", "energy", "hidden_mse", "policy_gradient")]


@pytest.mark.parametrize("name", [name for name in METHODS if divergence_terms(name)])
def test_nothing_is_left_to_learn_when_student_and_teacher_agree(name):
    teacher, student = table(3), table(3)
    value = expectation(divergence_terms(name), teacher, student)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert gradient(value, student).abs().max().item() == pytest.approx(0, abs=1e-12)
    away = expectation(divergence_terms(name), teacher, table(4))
    assert away.item() > 1e-3 and gradient(away, student).shape == (len(PREFIXES), VOCABULARY)


def test_the_methods_with_hard_or_energy_losses_are_the_exceptions():
    assert [name for name in METHODS if not divergence_terms(name)] == [
        "mle",
        "seqkd",
        "engine",
        "sft",
        "pl",
        "orig_pl",
        "orig_pl_pl",
        "joint_teaching_ft",
    ]
    teacher, student = table(3), table(3)
    assert gradient(expectation(method("engine"), teacher, student), student).abs().max() > 1e-3
