"""What each step of a run learns from: schedules, an adaptive share, and replayed samples."""

from collections import Counter
from dataclasses import replace

import pytest
import tiny
import torch
from fdistill.losses.objectives import Objective
from fdistill.losses.schedule import Schedule
from fdistill.sampling.sampler import sample_batch
from fdistill.training import learner
from fdistill.training.state import TrainingState
from fdistill.training.step_plan import StepPlan
from training_cases import constant_score, data_of, objective, selection, trainer_of

REPLAYED = Objective.from_config([{"sequences": "replayed_samples", "loss": "skew_kl"}], replay_size=10)


@pytest.fixture
def models():
    return tiny.checkpoint("bart", seed=1), tiny.checkpoint("bart", seed=2)


@pytest.fixture
def sampled(monkeypatch):
    """The rows of every batch that is sampled, with the samples."""
    seen = []

    def watched(model, source, sampling, seed, rows, context=None):
        samples = sample_batch(model, source, sampling, seed, rows, context)
        seen.append((seed, rows, samples.labels))
        return samples

    monkeypatch.setattr(learner, "sample_batch", watched)
    return seen


def watch_steps(trainer):
    """Record the micro-batches of every step, after it was taken."""
    taken, take = [], trainer.optimizer_steps.take

    def watched(batches, state):
        loss = take(batches, state)
        taken.append(batches)
        return loss

    trainer.optimizer_steps.take = watched
    return taken


def run(trainer, scores=None):
    values = iter(scores or [])
    trainer.run(lambda model: {"nll": next(values)} if scores else constant_score(model), selection(keep="last"))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("joint_teaching", ["teacher_samples", "student_samples"] * 3),
        ("gkd", None),
        ("imitkd", None),
    ],
)
def test_a_step_has_the_sequences_of_its_kind_alone(models, sampled, method, expected):
    """Joint-Teaching: every second step learns from the student; nothing is sampled in the others."""
    teacher, student = models
    trainer = trainer_of(student, teacher, method, data_of(student, 8), seed=5, batch_size=4, epochs=3)
    taken = watch_steps(trainer)
    run(trainer)
    assert all(len(batch.labels) == 1 for batches in taken for batch in batches)
    kinds = [next(iter(batch.labels)) for (batch,) in taken]
    schedule = objective(method).schedule
    if expected is None:
        of_student = [schedule.is_student_step(t, schedule.share(t / 6), 5) for t in range(6)]
        expected = ["student_samples" if yes else "ground_truth" for yes in of_student]
        assert len(set(expected)) == 2
    assert kinds == expected
    assert [seed[-1] for seed, *_ in sampled] == [t for t, kind in enumerate(kinds) if kind == "student_samples"]
    recorded = [line["steps_of"] for line in trainer.state.history if "dev" in line]
    assert recorded == [Counter(kinds[:t]) for t in (0, 2, 4, 6)]
    before = [trainer.plan.is_before_student(line) for line in trainer.state.history if "dev" in line]
    assert before == ["student_samples" not in kinds[:t] for t in (0, 2, 4, 6)]


@pytest.mark.parametrize("kind", ["teacher_samples", "student_samples"])
def test_the_loss_of_a_scheduled_step_is_that_of_its_terms(models, kind):
    """Joint-Teaching's steps are those of methods with one of its two terms each."""
    teacher, student = models
    whole = objective("joint_teaching")
    part = replace(whole, terms=whole.terms_on(kind), schedule=None)
    losses = []
    for terms in (whole, part):
        fresh = tiny.checkpoint("bart", seed=2)
        trainer = trainer_of(fresh, teacher, terms, data_of(student, 8))
        trainer.state.step = kind == "student_samples"
        losses.append(trainer.step(next(trainer.batches())))
    assert losses[0] == losses[1] > 0


def test_an_adaptive_share_grows_where_the_development_loss_has_not_fallen(models):
    teacher, student = models
    terms = [{"sequences": kind, "loss": "kl"} for kind in ("ground_truth", "student_samples")]
    adaptive = Objective.from_config(terms, {"student_share": 0.2, "course": "adaptive", "growth": 0.3})
    trainer = trainer_of(student, teacher, adaptive, data_of(student, 8), epochs=5)
    growths = []

    def score(losses):
        growths.append(trainer.state.growths)  # of the evaluations before this one
        return {"nll": next(losses)}

    losses = iter([5.0, 4.0, 4.0, 4.5, 3.0, 3.5])
    trainer.run(lambda model: score(losses), selection(keep="last"))
    assert [*growths, trainer.state.growths] == [0, 0, 0, 1, 2, 2, 3]
    shares = [adaptive.schedule.share(0, count) for count in range(4)]
    assert shares == pytest.approx([0.2, 0.5, 0.8, 1.0])
    assert trainer.state.dev_loss == 3.5
    evaluations = [line for line in trainer.state.history if "dev" in line]
    assert [line["student_share"] for line in evaluations] == pytest.approx([0.2, 0.2, 0.5, 0.8, 0.8, 1.0])
    assert [sum(line["steps_of"].values()) for line in evaluations] == [line["step"] for line in evaluations]


# --- replayed samples


def plan_of(size=10, total=100):
    return StepPlan(replace(REPLAYED, replay_size=size), total, seed=3)


@pytest.mark.parametrize(("settings", "warns"), [({}, False), ({"max_steps": 2}, True), ({"max_steps": 3}, False)])
def test_a_share_that_cannot_grow_is_said_before_training(models, caplog, settings, warns):
    teacher, student = models
    adaptive = replace(REPLAYED, schedule=Schedule(0.0, course="adaptive"))
    for epochs in (2, 0):
        caplog.clear()
        trainer_of(student, teacher, adaptive, data_of(student, 8), batch_size=4, epochs=epochs, **settings)
        text = "the share of the schedule never grows: evaluations are 2 steps apart, and training has 2; lower"
        assert [text in message for message in caplog.messages] == [True] * (warns and epochs > 0)


def test_new_samples_until_the_buffer_is_full_then_in_a_falling_share_of_steps():
    plan, state = plan_of(total=4000), TrainingState()
    for count in range(10):
        assert not plan.replays(state)
        plan.taken(state, [(count, [count])])
    replays = [plan.replays(TrainingState(step=t, replay=state.replay)) for t in range(4000)]
    halves = sum(replays[:2000]), sum(replays[2000:])
    assert halves == pytest.approx((500, 1500), abs=100) and not any(replays[:5])


def test_the_buffer_keeps_the_newest_and_replays_without_repetition():
    plan, state = plan_of(size=4, total=0), TrainingState()
    for count in range(6):
        plan.taken(state, [(count, [count])])
    assert [row for row, _ in state.replay] == [2, 3, 4, 5]
    drawn = [sorted(row for row, _ in plan.replayed(TrainingState(step=t, replay=state.replay), 3)) for t in range(99)]
    assert all(len(set(rows)) == 3 for rows in drawn) and len(set(map(tuple, drawn))) == 4
    assert len(plan.replayed(state, 9)) == 4


def test_replayed_steps_learn_from_stored_samples_on_their_own_inputs(models, sampled):
    teacher, student = models
    data = data_of(student, 8)
    trainer = trainer_of(
        student, teacher, replace(REPLAYED, replay_size=8), data, batch_size=2, accumulation=2, epochs=9
    )
    taken = watch_steps(trainer)
    run(trainer)
    stored, new_steps = set(), {seed[-1] for seed, *_ in sampled}
    assert {0, 1} < new_steps and len(taken) == 18 and len(new_steps) < 16
    for step, batches in enumerate(taken):
        if step in new_steps:
            made = [(rows, labels) for seed, rows, labels in sampled if seed[-1] == step]
            stored |= {
                (row, tuple(ids[ids >= 0].tolist()))
                for rows, labels in made
                for row, ids in zip(rows, labels, strict=True)
            }
            continue
        assert sum(len(batch.rows) for batch in batches) == 4
        for batch in batches:
            pairs = [(row, tuple(ids)) for row, ids in batch.sequences("replayed_samples")]
            assert set(pairs) <= stored
            for row, ids, mask in zip(batch.rows, batch.source.input_ids, batch.source.attention_mask, strict=True):
                assert ids[mask.bool()].tolist() == data.train.sources[row]
    assert len(trainer.state.replay) == 8
    steps_of = trainer.state.history[-1]["steps_of"]
    assert steps_of == {"replayed_samples": 18, "replays": 18 - len(new_steps)}


@pytest.mark.parametrize("schedule", [None, Schedule(0.5, "alternating")])
def test_replayed_samples_beside_other_terms(models, schedule):
    """A step that replays takes the other sequences of the replayed examples, or of none with a schedule."""
    teacher, student = models
    terms = [{"sequences": kind, "loss": "kl"} for kind in ("ground_truth", "replayed_samples")]
    both = replace(Objective.from_config(terms), replay_size=4, schedule=schedule)
    data = data_of(student, 8)
    trainer = trainer_of(student, teacher, both, data, batch_size=4, epochs=10)
    taken = watch_steps(trainer)
    run(trainer)
    for (batch,) in taken:
        assert set(batch.labels) in ([{"ground_truth", "replayed_samples"}] if schedule is None else [
            {"ground_truth"}, {"replayed_samples"}
        ])  # fmt: skip
        for row, ids in zip(batch.rows, batch.labels.get("ground_truth", []), strict=False):
            assert ids[ids >= 0].tolist() == data.train.targets[row]
    assert torch.isfinite(torch.cat([p.flatten() for p in student.model.module.parameters()])).all()
