"""Interrupted training: a run that is resumed ends with the weights and the history of an uninterrupted one."""

import json
import os
import signal
import sys
import time
from dataclasses import replace

import pytest
import tiny
import torch
from fdistill.losses.schedule import Schedule
from fdistill.runtime.interruption import Stopped
from fdistill.training.state import TrainingCheckpoints
from fdistill.training.trainer import Trainer
from training_cases import data_of, objective, selection, trainer_of

IDENTITY = {"seed": 1}


class Scores:
    """Scores by the weights alone, which interrupt the evaluations of the given numbers."""

    def __init__(self, interrupt_at=()):
        self.evaluations, self.interrupt_at = 0, interrupt_at

    def __call__(self, model):
        self.evaluations += 1
        torch.rand(3)  # as a score that samples
        if self.evaluations in self.interrupt_at:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(10)  # longer than a job has left
        with torch.no_grad():
            return {"nll": sum(p.abs().sum().item() for p in model.module.parameters())}


def run_until_done(family, method, folder=None, minutes=0, interrupt_at=(), **settings):
    """Run to the end, again after each interruption; return (weights and history, number of starts)."""
    starts = 0
    while True:
        starts += 1
        teacher, student = tiny.checkpoint(family, 1), tiny.checkpoint(family, 2, **tiny.DROPOUT[family])
        data = data_of(student, 21)
        chosen = {"batch_size": 4, "accumulation": 2, "epochs": 2, "evaluate_every": 0.5, "patience": 2} | settings
        trainer = trainer_of(student, teacher, method, data, 3, **chosen)
        try:
            with TrainingCheckpoints(folder, IDENTITY, minutes) as checkpoints:
                score = Scores(interrupt_at if starts == 1 else ())
                history = trainer.run(score, selection(), checkpoints)
        except Stopped:
            continue
        weights = b"".join(value.numpy().tobytes() for value in student.model.module.state_dict().values())
        return (weights, json.dumps(history)), starts


class InterruptEveryStep:
    """Interrupts a run after each step and each evaluation."""

    def __init__(self, monkeypatch):
        self.count = 0
        save_if_due = TrainingCheckpoints.save_if_due

        def interrupt(checkpoints, state, where):
            if not checkpoints.__dict__.setdefault("first", True):
                os.kill(os.getpid(), signal.SIGTERM)
                self.count += 1
            checkpoints.first = False
            save_if_due(checkpoints, state, where)

        monkeypatch.setattr(TrainingCheckpoints, "save_if_due", interrupt)


@pytest.mark.parametrize(
    ("family", "method", "optimizer"),
    [
        *(("bart", "js", "adamw"), ("t5", "predistill", "adam"), ("gpt2", "js", "adafactor"), ("gpt2", "mle", "adamw")),
        *(("bart", "js_online", "adamw"), ("gpt2", "tvd_online", "adamw"), ("bart", "joint_teaching", "adamw")),
    ],
)
def test_a_run_interrupted_at_every_boundary_ends_with_the_same_bytes(tmp_path, monkeypatch, family, method, optimizer):
    whole, starts = run_until_done(family, method, optimizer=optimizer)
    assert starts == 1
    interruptions = InterruptEveryStep(monkeypatch)
    resumed, starts = run_until_done(family, method, tmp_path, minutes=None, optimizer=optimizer)
    assert starts == interruptions.count + 1 > 5
    assert resumed == whole


class RisingScores(Scores):
    """Scores that are the worse the longer the run is, so that an adaptive share grows; patience is out of the way."""

    def __call__(self, model):
        super().__call__(model)
        return {"nll": sum(p.abs().sum().item() for p in model.module.parameters()) % 1}


def test_replayed_samples_and_an_adaptive_share_are_resumed(tmp_path, monkeypatch):
    """At every boundary: the buffer, the share and the development loss that it is compared with."""
    distillm = replace(objective("distillm"), replay_size=12, schedule=Schedule(0.4, course="adaptive", growth=0.2))
    monkeypatch.setattr(sys.modules[__name__], "Scores", RisingScores)
    states, load = [], Trainer.load_state_dict
    monkeypatch.setattr(Trainer, "load_state_dict", lambda trainer, saved: (states.append(saved), load(trainer, saved)))
    settings = {"epochs": 4, "patience": None}
    whole, starts = run_until_done("bart", distillm, **settings)
    assert starts == 1
    interruptions = InterruptEveryStep(monkeypatch)
    resumed, starts = run_until_done("bart", distillm, tmp_path, minutes=None, **settings)
    assert starts == interruptions.count + 1 > 5
    assert resumed == whole
    assert len(states[-1]["state"]["replay"]) == 12 and states[-1]["state"]["growths"] > 0


def test_saving_checkpoints_changes_nothing(tmp_path):
    assert run_until_done("bart", "js", tmp_path, minutes=0) == run_until_done("bart", "js")
    assert len(list(tmp_path.glob("[0-9]*[0-9]"))) == 2


def test_an_evaluation_is_broken_off_and_begun_again(tmp_path):
    start = time.monotonic()
    resumed, starts = run_until_done("bart", "js", tmp_path, minutes=None, interrupt_at=(2,))
    assert starts == 2 and time.monotonic() - start < 10
    assert resumed == run_until_done("bart", "js")[0]
