"""The mean over each example's positions and then over examples, against loops over single examples in float64."""

from collections import defaultdict
from dataclasses import replace

import pytest
import tiny
import torch
from fdistill.losses.objectives import Objective
from training_cases import data_of, gradients_of_step, micro_batches, objective, trainer_of

TERMS = [
    {"sequences": "ground_truth", "loss": "kl", "weight": 0.5, "temperature": 2.0},
    {"sequences": "ground_truth", "loss": "nll"},
    {"sequences": "ground_truth", "loss": "hidden_mse", "weight": 3.0},
    {"sequences": "teacher_samples", "loss": "rkl", "weight": 0.7},
]


@pytest.fixture
def double(pair):
    for checkpoint in pair:
        checkpoint.model.module.double()
    return pair


def naive(teacher, student, data):
    """The terms' values, from unpadded examples: each one's mean, then the mean over examples."""
    count, total = len(data.train), 0.0
    encoder = student.model.family.is_encoder_decoder
    stacks = ("encoder_hidden_states", "decoder_hidden_states") if encoder else ("hidden_states",)
    for i, source in enumerate(data.train.sources):
        target, sample = (data.sequences(kind, i, 0) for kind in ("ground_truth", "teacher_samples"))
        log_p, log_q = (tiny.reference_log_probs(m.model, source, target) for m in (teacher, student))
        p, q = ((x / 2).softmax(-1) for x in (log_p, log_q))
        total += 0.5 * 4 * (p * (p / q).log()).sum() / len(target)
        total -= sum(log_q[t, token] for t, token in enumerate(target)) / len(target)
        outputs = [tiny.reference_outputs(m.model, source, target) for m in (teacher, student)]
        for stack in stacks:
            begin = 0 if encoder else len(source) - 1
            end = begin + (len(source) if stack == "encoder_hidden_states" else len(target))
            for layer, supervising in ((1, 2), (2, 4)):
                one, other = getattr(outputs[0], stack)[supervising][0], getattr(outputs[1], stack)[layer][0]
                total += 3 * (one - other)[begin:end].square().mean()
        log_p, log_q = (tiny.reference_log_probs(m.model, source, sample) for m in (teacher, student))
        total += 0.7 * (log_q.exp() * (log_q - log_p)).sum() / len(sample)
    return total / count


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("size", [9, 3])
def test_examples_count_alike_whatever_their_lengths(double, monkeypatch, size, chunk):
    """In one micro-batch and in three, in one chunk and in several."""
    teacher, student = double
    if chunk:
        monkeypatch.setattr(type(student.model), "chunk_size", chunk)
    data = data_of(student, 9)
    by_example = Objective.from_config(TERMS, reduction="examples")
    expected = naive(teacher, student, data)
    expected_gradients = torch.autograd.grad(expected, list(student.model.module.parameters()))
    trainer = trainer_of(student, teacher, by_example, data)
    loss, gradients = gradients_of_step(trainer, micro_batches(trainer, size))
    assert loss == pytest.approx(expected.item(), rel=1e-5)  # losses are float32
    scale = max(g.abs().max().item() for g in expected_gradients)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5 * scale)
    by_token = trainer_of(student, teacher, replace(by_example, reduction="tokens"), data)
    assert abs(by_token.step(micro_batches(by_token, size)) / loss - 1) > 1e-3


@pytest.mark.parametrize("name", ["word_kd", "student_pt"])
def test_losses_of_calderons_methods(double, fixed_samples, name):
    """KL(teacher‖student) over the vocabulary at temperature 1, on the references or on the student's samples."""
    teacher, student = double
    sample, data = fixed_samples(student), data_of(student)
    total = 0.0
    with torch.no_grad():
        for i, source in enumerate(data.train.sources):
            target = sample(source) if name == "student_pt" else data.sequences("ground_truth", i, 0)
            p, q = (tiny.reference_log_probs(m.model, source, target).exp() for m in (teacher, student))
            total += (p * (p / q).log()).sum().item() / len(target)
    trainer = trainer_of(student, teacher, objective(name), data)
    assert trainer.step(micro_batches(trainer, 4)) == pytest.approx(total / len(data.train), rel=1e-4)


def test_counts_have_no_example_without_a_label():
    teacher, student = tiny.checkpoint("bart", seed=1), tiny.checkpoint("bart", seed=2)
    trainer = trainer_of(student, teacher, "word_kd", data_of(student))
    (batch,) = micro_batches(trainer, 8)
    batch.labels["ground_truth"][2] = -100
    assert batch.counts()["ground_truth"]["examples"] == 7
    counts = defaultdict(int, batch.counts()["ground_truth"])
    assert torch.isfinite(trainer.learner.loss(batch, {"ground_truth": counts}))
