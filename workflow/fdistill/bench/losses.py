"""The loss alone, from last hidden states to gradients: this project's beside the plain recipe's and Liger's.

This is the part of a training step whose cost grows with the size of the vocabulary.
"""

import importlib.util
import statistics
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fdistill.bench import plain
from fdistill.bench.clock import now, peak_memory
from fdistill.bench.machine import INSTALL
from fdistill.bench.steps import ON_POLICY, OURS, PLAIN, Terms, without_determinism
from fdistill.losses import chunks
from fdistill.losses.inputs import LABELS
from fdistill.losses.objectives import Objective
from fdistill.training.batch_loss import Models, SequenceOutputs, batch_loss

LIGER = "liger"


@dataclass(frozen=True)
class Inputs:
    """Last hidden states (N, D) of student and teacher on some positions, and their output layers (V, D)."""

    student_hidden: Tensor
    student_head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor

    @classmethod
    def random(cls, positions: int, width: int, vocabulary: int, device: str, seed: int) -> "Inputs":
        """Return random inputs: the logits have a standard deviation of 3, and the teacher's resemble the student's."""
        generator = torch.Generator(device).manual_seed(seed)

        def random_tensor(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, device=device)

        hidden, head = random_tensor(positions, width), 3 * width**-0.5 * random_tensor(vocabulary, width)
        teacher_hidden = hidden + 0.5 * random_tensor(positions, width)
        return cls(hidden.requires_grad_(), head.clone().requires_grad_(), teacher_hidden, head)


@dataclass(frozen=True)
class OutputLayer:
    """The part of a language model's interface that `batch_loss` uses."""

    weight: Tensor  # (V, D)

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits (N, V) of last hidden states (N, D)."""
        return states @ self.weight.T

    def output_weights(self) -> list[Tensor]:
        """Return the weights of the output layer that are trained."""
        return [self.weight]

    @property
    def chunk_size(self) -> int:
        """The chunk size of a model with this vocabulary."""
        return chunks.chunk_size(len(self.weight), self.weight.device)


def our_loss(inputs: Inputs, method: str, terms: Terms) -> Tensor:
    """Return this project's loss, a scalar; the positions are divided evenly among the objective's sequences."""
    objective = Objective.from_config(terms)
    passes, counts = {}, {}
    for kind, student_hidden, teacher_hidden in zip(objective.sequences, *_parts(inputs, objective), strict=True):
        labels = torch.zeros((1, len(student_hidden)), dtype=torch.long, device=student_hidden.device)
        passes[kind] = SequenceOutputs(labels, student_hidden, teacher_hidden)
        counts[kind] = Counter({LABELS: len(student_hidden)})
    models = Models(OutputLayer(inputs.student_head), OutputLayer(inputs.teacher_head), nullcontext())
    return batch_loss(objective, passes, counts, models)


def plain_loss(inputs: Inputs, method: str, terms: Terms) -> Tensor:
    """Return the plain recipe's loss, a scalar."""
    objective = Objective.from_config(terms)
    total = torch.zeros((), device=inputs.student_hidden.device)
    for kind, student_hidden, teacher_hidden in zip(objective.sequences, *_parts(inputs, objective), strict=True):
        labels = torch.zeros(len(student_hidden), dtype=torch.long, device=student_hidden.device)
        with torch.no_grad():
            teacher_logits = teacher_hidden @ inputs.teacher_head.T
        logits = student_hidden @ inputs.student_head.T
        sampler = kind.removesuffix("_samples")
        total = total + plain.term(method, sampler, logits, teacher_logits, labels) / len(objective.sequences)
    return total


def liger_loss(inputs: Inputs, method: str, terms: Terms) -> Tensor:
    """Return the loss of Liger's kernel, which computes generalised JS only; its β, the teacher's weight, is ½ here."""
    from liger_kernel.transformers import LigerFusedLinearJSD

    fused = LigerFusedLinearJSD(jsd_beta=0.5)
    return fused(inputs.student_hidden, inputs.student_head, inputs.teacher_hidden, inputs.teacher_head, None)


def liger_is_missing(device: str) -> str | None:
    """Return why Liger cannot be measured here and what to do about it; None if it can."""
    if device != "cuda":
        return "its kernels need a GPU"
    if importlib.util.find_spec("liger_kernel") is None:
        return f"liger-kernel is not installed; {INSTALL}"
    return None


def _parts(inputs: Inputs, objective: Objective) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Divide the hidden states of student and teacher evenly among the objective's kinds of sequences."""
    count = len(objective.sequences)
    return inputs.student_hidden.chunk(count), inputs.teacher_hidden.chunk(count)


def compare(
    method: str,
    terms: Terms,
    positions: int,
    width: int,
    vocabulary: int,
    repeats: int,
    device: str,
    seed: int,
) -> dict[str, Any]:
    """Measure each implementation of a loss: seconds, peak bytes beyond the inputs, and the loss's value.

    `positions` (N), `width` (D) and `vocabulary` (V) are the sizes of `Inputs`; `missing` in the result says which
    implementation cannot run here, and why.
    """
    inputs = Inputs.random(positions, width, vocabulary, device, seed)
    losses: dict[str, Callable[..., Tensor]] = {OURS: our_loss, PLAIN: plain_loss}
    reasons = {}
    if method == ON_POLICY:
        reason = liger_is_missing(device)
        losses, reasons = (losses, {LIGER: reason}) if reason else (losses | {LIGER: liger_loss}, {})
    values: dict[str, float] = {}

    def run(name: str) -> float:
        start = now(torch.device(device))
        with without_determinism(name != OURS):
            loss = losses[name](inputs, method, terms)
            loss.backward()
        seconds = now(torch.device(device)) - start
        values[name] = loss.item()
        inputs.student_hidden.grad = inputs.student_head.grad = None
        return seconds

    # This also warms up.
    peaks = {name: peak_memory(lambda name=name: run(name), torch.device(device)) for name in losses}
    times = {name: [] for name in losses}
    for _ in range(repeats):
        for name in losses:
            times[name].append(run(name))
    measured = {
        name: {"seconds": statistics.median(times[name]), "peak_memory_bytes": peaks[name], "value": values[name]}
        for name in losses
    }
    return {"losses": measured, "missing": reasons}
