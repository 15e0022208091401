"""The loss alone, from last hidden states to their gradient and the output layer's: ours beside its opponents.

What a step spends here grows with the vocabulary, as nothing else in it does.
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
from fdistill.losses.objectives import LABELS, Objective
from fdistill.training.batch_loss import Models, SequenceOutputs, batch_loss

LIGER = "liger"


@dataclass(frozen=True)
class Inputs:
    """Of one kind of sequence: last hidden states (N, D) of student and teacher, and their output layers (V, D)."""

    student_hidden: Tensor
    student_head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor

    @classmethod
    def random(cls, positions: int, width: int, vocabulary: int, device: str, seed: int) -> "Inputs":
        """Logits have a standard deviation of 3; the teacher's are the student's and something of their own."""
        generator = torch.Generator(device).manual_seed(seed)

        def random_tensor(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, device=device)

        hidden, head = random_tensor(positions, width), 3 * width**-0.5 * random_tensor(vocabulary, width)
        teacher_hidden = hidden + 0.5 * random_tensor(positions, width)
        return cls(hidden.requires_grad_(), head.clone().requires_grad_(), teacher_hidden, head)


@dataclass(frozen=True)
class OutputLayer:
    """What `batch_loss` takes of a language model."""

    weight: Tensor  # (V, D)

    def logits(self, states: Tensor) -> Tensor:
        """(N, D) -> (N, V)."""
        return states @ self.weight.T

    def output_weights(self) -> list[Tensor]:
        """Those that are trained."""
        return [self.weight]

    @property
    def chunk_size(self) -> int:
        """As a model of this vocabulary has it."""
        return chunks.chunk_size(len(self.weight), self.weight.device)


def ours(inputs: Inputs, method: str, terms: Terms) -> Tensor:
    """The objective, its sequences sharing the positions. What a step hands to it is made here, and nowhere else."""
    objective = Objective.from_config(terms)
    passes, counts = {}, {}
    for kind, of_student, of_teacher in zip(objective.sequences, *_shared_out(inputs, objective), strict=True):
        labels = torch.zeros((1, len(of_student)), dtype=torch.long, device=of_student.device)
        passes[kind] = SequenceOutputs(labels, of_student, of_teacher)
        counts[kind] = Counter({LABELS: len(of_student)})
    models = Models(OutputLayer(inputs.student_head), OutputLayer(inputs.teacher_head), nullcontext())
    return batch_loss(objective, passes, counts, models)


def plainly(inputs: Inputs, method: str, terms: Terms) -> Tensor:
    """The plain recipe's."""
    objective = Objective.from_config(terms)
    total = torch.zeros((), device=inputs.student_hidden.device)
    for kind, of_student, of_teacher in zip(objective.sequences, *_shared_out(inputs, objective), strict=True):
        labels = torch.zeros(len(of_student), dtype=torch.long, device=of_student.device)
        with torch.no_grad():
            teacher_logits = of_teacher @ inputs.teacher_head.T
        logits = of_student @ inputs.student_head.T
        whose = kind.removesuffix("_samples")
        total = total + plain.half(method, whose, logits, teacher_logits, labels) / len(objective.sequences)
    return total


def ligers(inputs: Inputs, method: str, terms: Terms) -> Tensor:
    """Liger's kernel, which knows generalised JS alone; its β is the weight of the teacher, here ½."""
    from liger_kernel.transformers import LigerFusedLinearJSD

    fused = LigerFusedLinearJSD(jsd_beta=0.5)
    return fused(inputs.student_hidden, inputs.student_head, inputs.teacher_hidden, inputs.teacher_head, None)


def liger_is_missing(device: str) -> str | None:
    """Why it cannot be measured here, and what to do about it; None when it can."""
    if device != "cuda":
        return "its kernels need a GPU"
    if importlib.util.find_spec("liger_kernel") is None:
        return f"liger-kernel is not installed; {INSTALL}"
    return None


def _shared_out(inputs: Inputs, objective: Objective) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The positions of each kind of sequence, as many of one as of another."""
    parts = len(objective.sequences)
    return inputs.student_hidden.chunk(parts), inputs.teacher_hidden.chunk(parts)


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
    """Seconds, bytes beyond the inputs and value of each, in turn; who is missing, and why."""
    inputs = Inputs.random(positions, width, vocabulary, device, seed)
    losses: dict[str, Callable[..., Tensor]] = {OURS: ours, PLAIN: plainly}
    reasons = {}
    if method == ON_POLICY:
        reason = liger_is_missing(device)
        losses, reasons = (losses, {LIGER: reason}) if reason else (losses | {LIGER: ligers}, {})
    values: dict[str, float] = {}

    def run(name: str) -> float:
        began = now(torch.device(device))
        with without_determinism(name != OURS):
            loss = losses[name](inputs, method, terms)
            loss.backward()
        spent = now(torch.device(device)) - began
        values[name] = loss.item()
        inputs.student_hidden.grad = inputs.student_head.grad = None
        return spent

    peaks = {name: peak_memory(lambda name=name: run(name), torch.device(device)) for name in losses}  # and warm up
    times = {name: [] for name in losses}
    for _ in range(repeats):
        for name in losses:
            times[name].append(run(name))
    found = {
        name: {"seconds": statistics.median(times[name]), "peak_memory_bytes": peaks[name], "value": values[name]}
        for name in losses
    }
    return {"losses": found, "missing": reasons}
