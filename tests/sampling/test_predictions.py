"""Predictions along sequences, and the agreement of two models, against computations in float64 on one input a time."""

import pytest
import tiny
import torch
from fdistill.sampling.offline import sequence_nlls
from fdistill.sampling.predictions import Predictions, log_prob_gap, nll, predictions, top_overlap

TOP_K = 3


@pytest.fixture
def models(family):
    """Two models, with inputs and sequences of several lengths."""
    teacher, student = tiny.checkpoint(family, seed=1), tiny.checkpoint(family, seed=2)
    return teacher.model, student.model, *tiny.random_pairs(teacher, 9)


def reference(model, source, target):
    with torch.no_grad():
        return tiny.reference_log_probs(model, source, target).double().log_softmax(-1)


def test_agreement_is_that_of_a_plain_loop(models):
    teacher, student, sources, targets = models
    overlaps, gaps = [], []
    for source, target in zip(sources, targets, strict=True):
        log_p, log_q = (reference(model, source, target) for model in (teacher, student))
        likeliest = [[set(row.argsort(descending=True)[:TOP_K].tolist()) for row in rows] for rows in (log_p, log_q)]
        overlaps.append(sum(len(p & q) / TOP_K for p, q in zip(*likeliest, strict=True)) / len(target))
        differences = [float(log_p[t, token] - log_q[t, token]) for t, token in enumerate(target)]
        gaps.append(sum(differences) / len(target))
    of_teacher, of_student = (predictions(model, sources, targets, TOP_K, 4, "p") for model in (teacher, student))
    assert top_overlap(of_teacher, of_student) == pytest.approx(sum(overlaps) / 9, abs=1e-12)
    assert 0.1 < sum(overlaps) / 9 < 0.9
    assert log_prob_gap(of_teacher, of_student) == pytest.approx(sum(gaps) / 9, abs=1e-5)
    assert (top_overlap(of_student, of_student), log_prob_gap(of_student, of_student)) == (1, 0)


def test_nll_is_that_of_scoring_and_needs_no_tokens(models):
    model, _, sources, targets = models
    per_token, _ = sequence_nlls(model, sources, targets, 4, "NLL")
    found = predictions(model, sources, targets, 0, 4, "NLL")
    assert nll(found) == pytest.approx(sum(per_token) / 9, rel=1e-7)
    assert all(tokens == [] for one in found for tokens in one.top_tokens)


def test_a_chunk_of_positions_at_a_time_gives_the_same(models, monkeypatch):
    model, _, sources, targets = models
    whole = predictions(model, sources, targets, TOP_K, 9, "p")
    monkeypatch.setattr(type(model), "chunk_size", 2)
    sizes, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda states: sizes.append(len(states)) or logits(states))
    chunked = predictions(model, sources, targets, TOP_K, 9, "p")
    assert max(sizes) == 2 and sum(sizes) == sum(map(len, targets))
    for one, other in zip(whole, chunked, strict=True):
        assert one.top_tokens == other.top_tokens and one.log_probs == pytest.approx(other.log_probs, abs=1e-5)


def test_a_vocabulary_of_fewer_tokens_is_compared_whole(models):
    teacher, student, sources, targets = models
    of_teacher, of_student = (predictions(model, sources, targets, 1000, 4, "p") for model in (teacher, student))
    assert top_overlap(of_teacher, of_student) == 1


def test_every_sequence_counts_the_same_whatever_its_length():
    long = Predictions([-1.0] * 9, [[1, 2]] * 9), Predictions([-2.0] * 9, [[1, 2]] * 9)
    short = Predictions([-1.0], [[1, 2]]), Predictions([-4.0], [[3, 2]])
    of_teacher, of_student = zip(long, short, strict=True)
    assert top_overlap(of_teacher, of_student) == pytest.approx((1 + 0.5) / 2)
    assert log_prob_gap(of_teacher, of_student) == pytest.approx((1 + 3) / 2)
