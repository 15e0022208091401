"""Whole runs: seeds, early stopping, the best weights, lengths, learning rates, and the order of examples."""

import math
from collections import Counter

import pytest
import tiny
import torch
from fdistill.data.encoding import Encoded
from fdistill.losses.inputs import IGNORE
from fdistill.models.students import init_student
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import TrainingData
from training_cases import ANCESTRAL, MAX_NEW, constant_score, data_of, selection, trainer_of


def run_bytes(seed, name="js", disturb=0, sampling=ANCESTRAL):
    teacher = tiny.checkpoint("bart", seed=1)
    student = init_student(teacher, {"encoder": 1, "decoder": 1})
    student.model.module.config.dropout = 0.3
    for module in student.model.module.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.3
    torch.manual_seed(disturb)
    trainer = trainer_of(student, teacher, name, data_of(student, 24), seed, sampling, epochs=2)
    trainer.run(constant_score, selection())
    return b"".join(p.detach().numpy().tobytes() for p in student.model.module.parameters())


BEAM_SAMPLE = SamplingConfig(MAX_NEW, "beam_sample", {"num_beams": 2, "top_k": 4})


@pytest.mark.parametrize(
    ("name", "sampling"), [("mle", ANCESTRAL), ("js", ANCESTRAL), ("js", BEAM_SAMPLE), ("js_online", ANCESTRAL)]
)
def test_a_seed_decides_the_weights_to_the_byte(name, sampling):
    first = run_bytes(1, name, sampling=sampling)
    assert run_bytes(1, name, sampling=sampling, disturb=7) == first
    assert run_bytes(2, name, sampling=sampling) != first


def test_how_the_student_samples_reaches_its_steps():
    assert run_bytes(1, "js", sampling=BEAM_SAMPLE) != run_bytes(1, "js")
    assert run_bytes(1, "mle", sampling=BEAM_SAMPLE) == run_bytes(1, "mle")  # which has no samples


START = 7  # a score better than most, and worse: neither selects the weights before training


class Scripted:
    """A scorer with prepared values that remembers the weights it was shown; the first are those before training."""

    def __init__(self, values, metric="bleu4"):
        self.values, self.metric, self.shown = [START, *values], metric, []

    def __call__(self, model):
        self.shown.append({k: v.clone() for k, v in model.module.state_dict().items()})
        return {self.metric: self.values[len(self.shown) - 1], "other": 0.0}


@pytest.mark.parametrize(
    ("values", "metric", "patience", "evaluations", "best"),
    [
        ([1, 3, 2, 2, 2, 9], "bleu4", 2, 4, 1),
        ([1, 3, 2, 4, 2, 2], "bleu4", 2, 6, 3),  # a better one resets the patience
        ([5, 3, 4, 3, 9, 1], "nll", 2, 4, 1),  # lower is better; equal is not better
        ([1, 3, 2, 2, 2, 2], "bleu4", None, 6, 1),
        ([6, 5, 4, 3, 2, 1], "nll", 1, 6, 5),
    ],
)
def test_early_stopping_and_the_best_weights(values, metric, patience, evaluations, best):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 16), epochs=6, patience=patience)
    scorer = Scripted(values, metric)
    history = trainer.run(scorer, selection(metric))
    assert len(scorer.shown) == evaluations + 1
    final = student.model.module.state_dict()
    assert all(torch.equal(final[key], value) for key, value in scorer.shown[best + 1].items())
    assert any(not torch.equal(final[k], v) for k, v in scorer.shown[best].items())
    assert [line["dev"][metric] for line in history if "dev" in line] == [START, *values[:evaluations]]
    assert [line["step"] for line in history if "dev" in line] == [2 * i for i in range(evaluations + 1)]
    assert not student.model.module.training


def test_the_last_weights_are_kept_when_asked_for():
    student = tiny.checkpoint("gpt2")
    scorer = Scripted([1, 3, 2])
    trainer = trainer_of(student, None, "mle", data_of(student, 16), epochs=3)
    history = trainer.run(scorer, selection("bleu4", keep="last"))
    final = student.model.module.state_dict()
    assert all(torch.equal(final[key], value) for key, value in scorer.shown[3].items())
    assert any(not torch.equal(final[key], value) for key, value in scorer.shown[2].items())
    assert [line["dev"]["bleu4"] for line in history if "dev" in line] == [START, 1, 3, 2]


@pytest.mark.parametrize(
    ("settings", "steps", "evaluated"),
    [
        ({"epochs": 2}, 6, [0, 3, 6]),  # 20 examples in batches of 8: three steps an epoch
        ({"epochs": 0.7}, 2, [0, 2]),
        ({"epochs": 5, "max_steps": 4}, 4, [0, 3, 4]),
        ({"epochs": 1, "max_steps": 40}, 3, [0, 3]),
        ({"epochs": 2, "evaluate_every": 0.5}, 6, [0, 2, 4, 6]),
        ({"epochs": 2, "accumulation": 2}, 4, [0, 2, 4]),
        ({"epochs": 0}, 0, []),
    ],
)
def test_length_of_a_run(settings, steps, evaluated):
    student = tiny.checkpoint("gpt2")
    before = {k: v.clone() for k, v in student.model.module.state_dict().items()}
    trainer = trainer_of(student, None, "mle", data_of(student, 20), **settings)
    taken = []
    trainer.optimizer.register_step_post_hook(lambda *_: taken.append(1))
    history = trainer.run(constant_score, selection())
    assert len(taken) == steps
    assert [line["step"] for line in history if "dev" in line] == evaluated
    changed = any(not torch.equal(before[k], v) for k, v in student.model.module.state_dict().items())
    assert changed == (steps > 0)


def test_losses_are_recorded_at_fixed_steps_and_are_means_over_them():
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 40), batch_size=1, epochs=5.125, evaluate_every=2.3)
    taken = []
    step = trainer.step
    trainer.step = lambda batches: taken.append(step(batches)) or taken[-1]
    history = trainer.run(constant_score, selection())
    assert len(taken) == 205  # two steps to a loss, whatever the evaluations at 92 and 184
    assert [line["step"] for line in history if "dev" in line] == [0, 92, 184, 205]
    losses = {line["step"]: line["loss"] for line in history if "loss" in line}
    assert list(losses) == [*range(2, 205, 2), 205]
    means = [(first + second) / 2 for first, second in zip(taken[0:204:2], taken[1:204:2], strict=True)]
    assert list(losses.values()) == [*means, taken[-1]]


@pytest.mark.parametrize(("step", "remedy"), [(0, "training starts from"), (3, "lower learning_rate")])
def test_a_score_that_is_not_finite_ends_training(step, remedy):
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 20), epochs=2)

    def score(model):
        return {"nll": 2.0 if trainer.state.step < step else math.nan}

    with pytest.raises(UserError, match=f"training: development nll is nan at step {step}; .*{remedy}"):
        trainer.run(score, selection())


def test_learning_rate_warms_up_and_decays_to_zero():
    student = tiny.checkpoint("gpt2")
    trainer = trainer_of(student, None, "mle", data_of(student, 80), learning_rate=1e-2, warmup_steps=4)
    rates = []
    trainer.optimizer.register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    trainer.run(constant_score, selection())
    expected = [i / 4 for i in range(4)] + [(10 - i) / 6 for i in range(4, 10)]
    assert rates == pytest.approx([1e-2 * e for e in expected])
    assert trainer.schedule.get_last_lr()[0] == pytest.approx(0, abs=1e-12)


def test_every_example_once_an_epoch_with_its_own_sequences():
    """Source and labels stay together through shuffling and padding; samples take turns by epoch."""
    student = tiny.checkpoint("gpt2")
    data = data_of(student, 21)
    teacher = tiny.checkpoint("gpt2", seed=1)
    trainer = trainer_of(student, teacher, "js", data, batch_size=4, accumulation=2)
    stream = trainer.batches()
    for epoch in range(4):
        effective = [next(stream) for _ in range(3)]
        assert [len(batches) for batches in effective] == [2, 2, 2]
        seen = Counter()
        for batch in (b for batches in effective for b in batches):
            assert set(batch.labels) == {"teacher_samples", "student_samples"}
            assert batch.labels["student_samples"] is None  # not sampled yet
            rows = zip(
                batch.source.input_ids,
                batch.source.attention_mask,
                batch.labels["teacher_samples"],
                strict=True,
            )
            for ids, mask, labels in rows:
                seen[tuple(ids[mask.bool()].tolist()), tuple(labels[labels != IGNORE].tolist())] += 1
        samples = [one[epoch % 3] for one in data.stored["teacher_samples"]]
        assert seen == Counter((tuple(s), tuple(y)) for s, y in zip(data.train.sources, samples, strict=True))


def test_several_references_are_learnt_in_turn():
    data = data_of(tiny.checkpoint("bart"), 4)
    second = [[*target[:-1], target[0], target[-1]] for target in data.train.targets]
    train = Encoded(
        data.train.ids, data.train.sources, [list(pair) for pair in zip(data.train.targets, second, strict=True)]
    )
    turns = [[TrainingData(train, {}).sequences("ground_truth", i, epoch) for i in range(4)] for epoch in range(3)]
    assert turns == [data.train.targets, second, data.train.targets]
