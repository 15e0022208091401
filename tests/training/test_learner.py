"""What one step computes: its loss and gradient, which models run, how often and in which mode."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import tiny
import torch
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import STUDENT_SAMPLES
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig, sample_batch
from fdistill.training import learner
from training_cases import ANCESTRAL, METHODS, data_of, gradients_of_step, micro_batches, objective, trainer_of


@pytest.mark.parametrize("name", ["mle", "js", "js_exact", "predistill"])
def test_accumulation_is_the_mean_over_the_whole_batch(pair, fixed_samples, name):
    """Batch (8, 1) equals (2, 4), lengths unequal: the denominator is that of the effective batch."""
    teacher, student = pair
    fixed_samples(student)
    data = data_of(student)
    lengths = [sum(map(len, data.train.targets[i : i + 2])) for i in range(0, 8, 2)]
    assert len(set(lengths)) > 1
    results = []
    for size in (8, 2):
        fresh = tiny.checkpoint(next(f for f in tiny.CONFIGS if f == student.model.module.config.model_type), seed=2)
        trainer = trainer_of(fresh, teacher, name, data)
        results.append(gradients_of_step(trainer, micro_batches(trainer, size)))
    (whole, grads), (parts, accumulated) = results
    assert whole == pytest.approx(parts, rel=1e-5)
    assert sum(g.abs().sum() for g in grads) > 0
    for one, other in zip(grads, accumulated, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * max(1.0, one.abs().max().item()))


def naive_mixture_half(p, q, side):
    m = (p + q) / 2
    one = p if side == "p" else q
    return (one * (one / m).log()).sum(-1)


NAIVE = {  # (kind of sequence, weight, per-position value from probabilities p and q)
    "mle": [("ground_truth", 1.0, None)],
    "seqkd": [("teacher_beam", 1.0, None)],
    "engine": [("student", 1.0, lambda p, q: -(q * p.log()).sum(-1))],
    "kl": [("teacher_samples", 1.0, lambda p, q: (p * (p / q).log()).sum(-1))],
    "rkl": [("student", 1.0, lambda p, q: (q * (q / p).log()).sum(-1))],
    "js": [
        ("teacher_samples", 0.5, lambda p, q: naive_mixture_half(p, q, "p")),
        ("student", 0.5, lambda p, q: naive_mixture_half(p, q, "q")),
    ],
    "tvd": [
        ("teacher_samples", 0.5, lambda p, q: 0.5 * (p - q).abs().sum(-1)),
        ("student", 0.5, lambda p, q: 0.5 * (p - q).abs().sum(-1)),
    ],
}


@pytest.mark.parametrize("name", NAIVE)
def test_loss_of_each_method_from_single_unpadded_examples(pair, fixed_samples, name):
    """Every target position once (the first too), no prompt token, nothing after EOS."""
    teacher, student = pair
    sample = fixed_samples(student)
    data = data_of(student)
    trainer = trainer_of(student, teacher, name, data)
    expected = 0.0
    with torch.no_grad():
        for kind, weight, value in NAIVE[name]:
            total, count = 0.0, 0
            for i, source in enumerate(data.train.sources):
                target = sample(source) if kind == "student" else data.sequences(kind, i, 0)
                log_q = tiny.reference_log_probs(student.model, source, target)
                if value is None:
                    total -= sum(log_q[t, token] for t, token in enumerate(target)).item()
                else:
                    p = tiny.reference_log_probs(teacher.model, source, target).double().exp()
                    total += value(p, log_q.double().exp()).sum().item()
                count += len(target)
            expected += weight * total / count
    assert trainer.step(micro_batches(trainer, 4)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("normalize", [False, True])
def test_predistillation_combines_its_three_parts(pair, normalize):
    """0.8 τ² KL + 1.0 CE + 3.0 hidden MSE, teacher layers 2 and 4 supervising student layers 1 and 2."""
    teacher, student = pair
    tau, data = 2.0, data_of(student)
    terms = Objective.from_config(
        [
            {"sequences": "ground_truth", "loss": "kl", "weight": 0.8, "temperature": tau},
            {"sequences": "ground_truth", "loss": "nll", "weight": 1.0},
            {
                "sequences": "ground_truth",
                "loss": "hidden_mse",
                "weight": 3.0,
                "parameters": {"normalize": normalize},
            },
        ]
    )
    encoder = student.model.family.is_encoder_decoder
    kl = ce = 0.0
    squares, counts = Counter(), Counter()
    with torch.no_grad():
        for source, target in zip(data.train.sources, data.train.targets, strict=True):
            log_p, log_q = (tiny.reference_log_probs(m.model, source, target) for m in (teacher, student))
            p, q = ((x.double() / tau).softmax(-1) for x in (log_p, log_q))
            kl += (p * (p / q).log()).sum().item()
            ce -= sum(log_q[t, token] for t, token in enumerate(target)).item()
            outputs = [tiny.reference_outputs(m.model, source, target) for m in (teacher, student)]
            stacks = ("encoder_hidden_states", "decoder_hidden_states") if encoder else ("hidden_states",)
            for stack in stacks:
                begin = 0 if encoder else len(source) - 1
                length = len(source) if stack == "encoder_hidden_states" else len(target)
                for student_layer, teacher_layer in ((1, 2), (2, 4)):  # index 0 is the embedding's output
                    for t in range(begin, begin + length):
                        h = [
                            getattr(output, stack)[layer][0, t]
                            for output, layer in zip(outputs, (teacher_layer, student_layer), strict=True)
                        ]
                        if normalize:
                            h = [(x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() for x in h]
                        squares[stack, student_layer] += ((h[0] - h[1]) ** 2).mean().item()
                        counts[stack, student_layer] += 1
    positions = sum(map(len, data.train.targets))
    mse = sum(squares[key] / counts[key] for key in squares)
    assert len(squares) == (4 if encoder else 2)
    expected = 0.8 * tau**2 * kl / positions + ce / positions + 3.0 * mse
    trainer = trainer_of(student, teacher, terms, data)
    assert trainer.step(micro_batches(trainer, 8)) == pytest.approx(expected, rel=1e-3)


# --- which models run, how often, in which mode


def record_forwards(module, log, name):
    def hook(module, *_):
        log.append((name, module.training, torch.is_grad_enabled()))

    module.register_forward_hook(hook)


def test_each_source_is_encoded_once_and_the_teacher_never_builds_a_graph():
    """js has two halves; both share one encoding. The student's second one is the sampler's."""
    for family in ("bart", "t5"):
        teacher, student = (
            tiny.checkpoint(family, seed=1),
            tiny.checkpoint(family, seed=2, **tiny.DROPOUT[family]),
        )
        teacher.model.module.train()  # the trainer must switch its dropout off
        log = []
        for name, checkpoint in (("teacher", teacher), ("student", student)):
            record_forwards(checkpoint.model.module.get_encoder(), log, name)
            record_forwards(checkpoint.model.module.get_decoder(), log, f"{name} decoder")
        trainer = trainer_of(student, teacher, "js", data_of(student))
        trainer.step(micro_batches(trainer, 8))
        assert [entry for entry in log if entry[0] == "teacher"] == [("teacher", False, False)]
        assert [entry for entry in log if entry[0] == "teacher decoder"] == [("teacher decoder", False, False)] * 2
        assert [e for e in log if e[0] == "student"] == [("student", False, False), ("student", True, True)]
        assert [e for e in log if e[0] == "student decoder" and e[2]] == [("student decoder", True, True)] * 2
        assert all(p.grad is None and not p.requires_grad for p in teacher.model.module.parameters())


@pytest.mark.parametrize("name", [name for name in METHODS if STUDENT_SAMPLES in objective(name).sequences])
def test_dropout_is_off_while_sampling_and_on_while_training(family, name):
    teacher, student = (
        tiny.checkpoint(family, seed=1),
        tiny.checkpoint(family, seed=2, **tiny.DROPOUT[family]),
    )
    log = []
    record_forwards(student.model.module, log, "student")
    trainer = trainer_of(student, teacher, name, data_of(student))
    trainer.step(micro_batches(trainer, 8))
    sampling = [training for _, training, grad in log if not grad]
    learning = [training for _, training, grad in log if grad]
    assert sampling and not any(sampling)
    assert learning and all(learning)


@pytest.mark.parametrize("name", ["js", "rkl"])
def test_a_source_is_encoded_once_where_that_changes_nothing(pair, name, monkeypatch):
    """Without dropout, and of one micro-batch; the loss and its gradients are those of encoding it again."""
    teacher, student = pair
    encoded, encode = [], student.model.encode
    monkeypatch.setattr(student.model, "encode", lambda *arguments: encoded.append(1) or encode(*arguments))
    steps = []
    for size, has_dropout, times in ((8, False, 1), (8, True, 2), (4, False, 4)):
        monkeypatch.setattr(LanguageModel, "has_dropout", has_dropout)
        trainer = trainer_of(student, teacher, name, data_of(student), learning_rate=1e-9)
        encoded.clear()
        steps.append(gradients_of_step(trainer, micro_batches(trainer, size)))
        assert len(encoded) == times
    (loss, gradients), *others = steps
    for other_loss, other_gradients in others:
        assert other_loss == pytest.approx(loss, rel=1e-5)
        for one, two in zip(gradients, other_gradients, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6)


def test_a_model_knows_whether_it_has_dropout(family):
    assert not tiny.checkpoint(family).model.has_dropout
    assert tiny.checkpoint(family, **tiny.DROPOUT[family]).model.has_dropout


@pytest.mark.parametrize("name", ["seqkd", "mle"])
def test_methods_on_hard_sequences_run_no_teacher(pair, name):
    teacher, student = pair
    log = []
    record_forwards(teacher.model.module, log, "teacher")
    trainer = trainer_of(student, teacher, name, data_of(student))
    trainer.step(micro_batches(trainer, 8))
    assert log == [] and trainer.learner.teacher is None
    without = trainer_of(student, None, name, data_of(student))
    assert math.isfinite(without.step(micro_batches(without, 8)))


def test_methods_that_compare_distributions_need_a_teacher():
    student = tiny.checkpoint("gpt2")
    with pytest.raises(UserError, match="--teacher"):
        trainer_of(student, None, "kl", data_of(student))


def test_samples_come_from_the_current_student(pair, monkeypatch):
    """At each step anew, with the weights at that step."""
    teacher, student = pair
    seen = []

    def watched(model, *arguments):
        weights = torch.cat([p.detach().flatten() for p in model.module.parameters()])
        seen.append((weights.clone(), sample_batch(model, *arguments)))
        return seen[-1][1]

    monkeypatch.setattr(learner, "sample_batch", watched)
    trainer = trainer_of(student, teacher, "rkl", data_of(student), learning_rate=0.05)
    for _ in range(3):
        before = torch.cat([p.detach().flatten().clone() for p in student.model.module.parameters()])
        trainer.step(micro_batches(trainer, 8))
        assert torch.equal(seen[-1][0], before)
    assert not torch.equal(seen[0][0], seen[2][0])


def test_online_samples_are_the_teachers_and_new_at_every_step(pair):
    teacher, student = pair
    trainer = trainer_of(student, teacher, "js_online", data_of(student))
    drawn = []
    for step in (0, 0, 1):
        (batch,) = micro_batches(trainer, 8)
        trainer.learner.sample_and_count(batch, step)
        drawn.append(batch.labels["online_teacher_samples"])
    expected = sample_batch(teacher.model, batch.source, ANCESTRAL, (learner.OF_TEACHER, 0, 1), batch.rows).labels
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[2], expected)
    assert drawn[0].shape != drawn[2].shape or not torch.equal(drawn[0], drawn[2])


def test_online_differs_from_offline_in_nothing_but_the_samples(pair, fixed_samples):
    teacher, student = pair
    fixed_samples(student)  # replaces the teacher's samples too: both are functions of the source
    results = {}
    for name in ("js", "js_online"):
        trainer = trainer_of(student, teacher, name, data_of(student))
        (batch,) = micro_batches(trainer, 8)
        batch = replace(batch, labels=dict(batch.labels))
        trainer.learner.sample_and_count(batch, 0)
        if name == "js":  # offline, the same samples as those drawn online
            batch.labels["teacher_samples"] = batch.labels["student_samples"]
        trainer.learner.student.module.eval()
        results[name] = trainer.learner.loss(batch, batch.counts()).item()
    assert results["js"] == pytest.approx(results["js_online"], rel=1e-6) and results["js"] > 0


def test_a_students_search_with_more_beams_than_tokens_is_refused_before_training(pair):
    teacher, student = pair
    size = student.model.module.config.vocab_size
    sampling = SamplingConfig(2, "beam", {"num_beams": size + 1})
    with pytest.raises(UserError, match=f"num_beams: {size + 1} is more than the {size} tokens of the model's vocab"):
        trainer_of(student, teacher, "rkl", data_of(student), sampling=sampling)
