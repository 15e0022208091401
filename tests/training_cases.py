"""What the tests of training share: training data, trainers on it, and what a step computes."""

import tiny
import torch
import yaml
from fdistill.config.method_table import complete
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.encoding import Encoded
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import SAMPLED
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import MicroBatch, TrainingData
from fdistill.training.selection import Selection
from fdistill.training.trainer import Trainer
from snake import ROOT

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())
MAX_NEW = 6
ANCESTRAL = SamplingConfig(MAX_NEW)


def objective(name):
    """The objective of a method of config/methods.yaml."""
    return Objective.of_method(complete(METHODS[name]))


def data_of(checkpoint, count=8, seed=0):
    """A training split with stored teacher sequences: three samples and one hard sequence per example."""
    sources, targets = tiny.random_pairs(checkpoint, count, seed=seed)
    samples = [tiny.random_pairs(checkpoint, count, seed=seed + 1 + i)[1] for i in range(3)]
    stored = {
        "teacher_samples": [list(one) for one in zip(*samples, strict=True)],
        "teacher_beam": [[t] for t in targets],
    }
    return TrainingData(Encoded([str(i) for i in range(count)], sources, [[target] for target in targets]), stored)


def trainer_of(student, teacher, method, data, seed=0, sampling=ANCESTRAL, **settings):
    """A trainer of a method, given by its name or as an objective; `settings` replace those of tiny."""
    chosen = tiny.settings(**settings)
    terms = objective(method) if isinstance(method, str) else method
    return Trainer(student.model, teacher.model if teacher else None, terms, data, chosen, sampling, seed)


def micro_batches(trainer, size):
    """The whole training split in its own order, in micro-batches of `size`."""
    train, kinds = trainer.data.train, [k for k in trainer.learner.objective.sequences if k not in SAMPLED]
    groups = [range(i, i + size) for i in range(0, len(train), size)]
    return [
        MicroBatch(
            source_batch(trainer.student, [train.sources[i] for i in group]),
            {k: label_batch([trainer.data.sequences(k, i, 0) for i in group], "cpu") for k in kinds}
            | {k: None for k in trainer.learner.objective.sequences if k in SAMPLED},
            list(group),
            [train.ids[i] for i in group],
        )
        for group in groups
    ]


def gradients_of_step(trainer, batches):
    """The loss of one step and the gradients that reach the optimiser."""
    gradients = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: gradients.extend(
            torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trainer.trainable
        )
    )
    return trainer.step(batches), gradients


def selection(metric="nll", keep="best"):
    """A selection by a metric."""
    return Selection(metric, keep, num_beams=1, length_penalty=1.0, max_inputs=None, batch_size=8)


def constant_score(model):
    """A score for runs whose evaluations do not matter."""
    return {"nll": 0.0}
