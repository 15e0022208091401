"""Losses and gradients on the device against those that the CPU computes in float64."""

from dataclasses import replace

import torch
from torch import Tensor

from fdistill.bench.gpu_check.case import LIMITS, SEED, Case
from fdistill.bench.gpu_check.outcome import Measured
from fdistill.bench.gpu_check.stages import relative
from fdistill.data.encoding import read_split
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import TEACHER_SAMPLES
from fdistill.models import checkpoints
from fdistill.runtime.device import set_up_device
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import MicroBatch, TrainingData
from fdistill.training.trainer import Trainer

# Bounds of the relative difference of the loss, and of the gradient as one vector in the Euclidean norm. Sums in
# float32 are off by some 1e-7. With bfloat16's 4e-3 per product, through about ten products in a row, the loss is off
# by a percent at most. The gradient of TVD is off by more: it has the sign of p - q, which rounding turns where both
# are nearly equal (on a CPU 0.05 was seen; of the other losses 0.01).
LOSS = {"fp32": 1e-5, "bf16": 1e-2}
GRADIENT = {"fp32": 1e-5, "bf16": 1e-1}
EXAMPLES = 8


def gradients(case: Case, method: str) -> Measured:
    """Compare loss and gradient of a method on one batch, without dropout, on the same sequences."""
    exact = _learning(case.on_cpu(), method)
    exact.learner.sample_and_count(batch := _batch(exact), 0)
    for model in (exact.student, exact.learner.teacher):
        model.module.double()
    expected, expected_gradient = _gradient(exact, batch)
    ours = _learning(case, method)
    labels = {kind: labels.to(ours.student.device) for kind, labels in batch.labels.items()}
    loss, gradient = _gradient(ours, replace(batch, source=batch.source.to(ours.student.device), labels=labels))
    difference = ((gradient - expected_gradient).norm() / expected_gradient.norm()).item()
    of_loss = relative(loss, expected)
    if of_loss > LOSS[case.precision]:
        raise AssertionError(f"the loss is {loss!r}, in float64 on the CPU {expected!r}: {of_loss:.2g} relative")
    note = f"loss {expected:.6f}, its relative difference {of_loss:.1e}, within {LOSS[case.precision]:.0e}"
    return Measured("gradient against the CPU's float64, relative", difference, GRADIENT[case.precision], note)


def _learning(case: Case, method: str) -> Trainer:
    """Return a trainer of the pre-distilled student by a method."""
    device = set_up_device(case.device, case.threads)
    student, teacher = (checkpoints.load(case.path(f"{name}/model"), device) for name in ("predistill", "teacher"))
    train, _ = read_split(case.path("train.parquet"), student, LIMITS)
    identity = sample_identity(case.path("teacher/model"), student.tokenizer, case.path("train.parquet"))
    stored = read_samples(case.path("train.samples.parquet"), train.ids, identity, TEACHER_SAMPLES)
    data, sampling = TrainingData(train, {TEACHER_SAMPLES: stored}), SamplingConfig(LIMITS.max_target_tokens)
    objective = Objective.from_config(case.methods[method]["terms"])
    return Trainer(student.model, teacher.model, objective, data, case.settings(), sampling, SEED)


def _batch(trainer: Trainer) -> MicroBatch:
    (batch,) = trainer.micro_batches([[*range(EXAMPLES)]], 0)
    return batch


def _gradient(trainer: Trainer, batch: MicroBatch) -> tuple[float, Tensor]:
    """Return the loss and the gradient of all weights as one vector, in float64 on the CPU."""
    trainer.student.module.eval()
    batch = replace(batch, context=None)  # of a sampling in another precision
    loss = trainer.learner.loss(batch, batch.counts())
    loss.backward()
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trainer.trainable]
    return loss.item(), torch.cat([part.flatten().double().cpu() for part in parts])
