"""The signal and noise of a method's first gradient, and the weights of exact JS's mixture."""

from statistics import fmean

import pytest
import torch
from fdistill.losses.inputs import IGNORE
from fdistill.training import first_gradients as module
from fdistill.training.first_gradients import first_gradients, mixture_weights
from training_cases import data_of, micro_batches, trainer_of


def gradients_by_hand(trainer, steps):
    """The gradients of the first batches, one by one."""
    rows = []
    for step, batch in zip(range(steps), trainer.batches(), strict=False):
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.learner.gradient(batch, step)
        rows.append(torch.cat([weight.grad.flatten() for weight in trainer.trainable]).double())
    return torch.stack(rows)


def test_signal_and_noise_are_those_of_the_gradients(pair):
    teacher, student = pair
    trainer = trainer_of(student, teacher, "js", data_of(student), batch_size=2)
    before = [weight.clone() for weight in trainer.trainable]
    found, batches = first_gradients(trainer, 5)
    rows = gradients_by_hand(trainer, 5)
    noise = rows.var(0, unbiased=True).sum().item()
    signal = rows.mean(0).square().sum().item() - noise / 5
    assert found["noise"] == pytest.approx(noise**0.5, rel=1e-6)
    assert found["signal"] == pytest.approx(max(0, signal) ** 0.5, rel=1e-4, abs=1e-6)
    assert len(batches) == 5 and "student_samples" in batches[0].labels
    for weight, old in zip(trainer.trainable, before, strict=True):  # no step is taken
        assert torch.equal(weight, old)


def test_the_same_batch_again_and_again_has_no_noise(pair):
    teacher, student = pair
    trainer = trainer_of(student, teacher, "mle", data_of(student), batch_size=8)  # all examples, one target each
    found, _ = first_gradients(trainer, 3)
    assert found["noise"] < 1e-3 * found["signal"]


def test_weights_are_the_odds_of_the_prefixes(pair, monkeypatch):
    """w_t = p(prefix) / (p(prefix) + q(prefix)), from products of probabilities."""
    monkeypatch.setattr(module, "FEWEST", 1)
    teacher, student = pair
    trainer = trainer_of(student, teacher, "kl", data_of(student))
    (batch,) = micro_batches(trainer, 8)
    labels = batch.labels["teacher_samples"]
    for model in (student.model, teacher.model):
        model.module.eval()
    by_position = {}
    with torch.no_grad():
        p, q = (
            model.model.logits(model.model.decode(model.model.encode(batch.source), labels).states).double().softmax(-1)
            for model in (teacher, student)
        )
    rows = iter(zip(p, q, labels[labels != IGNORE], strict=True))
    for sequence in labels:
        product_p = product_q = 1.0
        for position in range(int((sequence != IGNORE).sum())):
            by_position.setdefault(position, []).append(product_p / (product_p + product_q))
            of_p, of_q, token = next(rows)
            product_p, product_q = product_p * of_p[token].item(), product_q * of_q[token].item()
    found = mixture_weights(student.model, teacher.model, [batch], "teacher_samples")
    assert [entry["n"] for entry in found] == [len(by_position[position]) for position in sorted(by_position)]
    assert found[0]["quantiles"] == [0.5] * 5
    for position, entry in enumerate(found):
        weights = sorted(by_position[position])
        middle = len(weights) // 2
        median = weights[middle] if len(weights) % 2 else fmean(weights[middle - 1 : middle + 1])
        assert entry["quantiles"][2] == pytest.approx(median, rel=1e-4)
