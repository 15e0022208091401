"""What a method's first gradient says and how much of it is noise, and the weights of exact JS's mixture."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel
from fdistill.sampling.sampler import sequence_log_probs
from fdistill.training.micro_batches import MicroBatch
from fdistill.training.trainer import Trainer

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEWEST = 20  # sequences that reach a position whose quantiles are reported


def first_gradients(trainer: Trainer, steps: int) -> tuple[dict[str, float], list[MicroBatch]]:
    """Return the signal and the noise of a step's gradient at the student's present weights, and the batches.

    The gradients g of `steps` batches, which training would take first, are independent estimates of one gradient.
    "noise" is the square root of E‖g − E g‖², and "signal" is ‖E g‖, both without the bias of few batches. The batches
    hold the student's samples, if the method has them.
    """
    learner = trainer.learner
    total: Tensor | None = None
    squares, batches = 0.0, []
    for step, batch in enumerate(islice(trainer.batches(), steps)):
        trainer.optimizer.zero_grad(set_to_none=True)
        learner.gradient(batch, step)
        gradient = torch.cat([weight.grad.flatten() for weight in learner.trainable]).double()
        total = gradient if total is None else total + gradient
        squares += float(gradient.square().sum())
        batches += batch
    trainer.optimizer.zero_grad(set_to_none=True)
    mean_square = float((total / steps).square().sum())
    noise = max(0.0, squares - steps * mean_square) / (steps - 1)
    return {"signal": max(0.0, mean_square - noise / steps) ** 0.5, "noise": noise**0.5}, batches


def mixture_weights(student: LanguageModel, teacher: LanguageModel, batches: Sequence[MicroBatch], kind: str) -> Any:
    """Return the weight of the teacher in exact JS's mixture, w_t = p(y_<t) / (p(y_<t) + q(y_<t)), along sequences.

    `kind` is that of the sequences in `batches`. At each position, from the first, the list has the number of sequences
    "n" that reach it and the `QUANTILES` of w_t (Wen et al. 2023, Eq. 12).
    """
    by_position: list[list[float]] = []
    for weights in _weights(student, teacher, batches, kind):
        for position, column in enumerate(weights.T):
            if position == len(by_position):
                by_position.append([])
            by_position[position] += column[~np.isnan(column)].tolist()
    return [
        {"n": len(weights), "quantiles": np.quantile(weights, QUANTILES).tolist()}
        for weights in by_position
        if len(weights) >= FEWEST
    ]


@torch.no_grad()
def _weights(
    student: LanguageModel, teacher: LanguageModel, batches: Sequence[MicroBatch], kind: str
) -> Iterator[np.ndarray]:
    """Yield w_t of each batch, (B, T), NaN at padded positions."""
    student.module.eval()
    for batch in batches:
        labels = batch.labels[kind]
        log_p, log_q = (sequence_log_probs(model, batch.source, labels).double() for model in (teacher, student))
        ratio = log_p - log_q
        weights = torch.sigmoid(ratio.cumsum(-1) - ratio)
        yield weights.masked_fill(labels == IGNORE, torch.nan).cpu().numpy()
