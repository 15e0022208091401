"""Optimiser steps, and what happens when one fails: a loss that is not finite, or too little GPU memory."""

import logging
import math
from collections.abc import Callable
from functools import partial

import torch
from transformers.optimization import Adafactor, get_linear_schedule_with_warmup

from fdistill.runtime.device import is_out_of_memory
from fdistill.runtime.errors import UserError
from fdistill.training.learner import Learner
from fdistill.training.micro_batches import MicroBatch
from fdistill.training.settings import TrainingSettings
from fdistill.training.state import TrainingState

log = logging.getLogger(__name__)

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    # With the fixed learning rate of the T5 recipe, as in the reference code; otherwise Shazeer & Stern 2018.
    "adafactor": lambda parameters, lr, weight_decay: Adafactor(
        parameters, lr=lr, weight_decay=weight_decay, scale_parameter=False, relative_step=False
    ),
}


class OptimizerSteps:
    """Takes the optimiser steps of a run, with gradient clipping and a linear learning-rate schedule."""

    def __init__(self, learner: Learner, settings: TrainingSettings, total_steps: int):
        """The learning rate warms up over `warmup_steps` and decays to 0 at `total_steps`.

        Raises UserError when nothing is left to train, and for an optimiser that cannot train a sharded model.
        """
        self.learner, self.settings = learner, settings
        if not learner.trainable:
            raise UserError(
                f"training.freeze: {', '.join(settings.freeze)} leaves nothing to train; remove a part from the list"
            )
        if learner.student.is_sharded and settings.optimizer == "adafactor":
            raise UserError("training.optimizer: adafactor cannot train a model sharded over GPUs; use adamw or adam")
        make = OPTIMIZERS[settings.optimizer]
        self.optimizer = make(learner.trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, settings.warmup_steps, max(1, total_steps))

    def take(self, batches: list[MicroBatch], state: TrainingState) -> float | None:
        """Take one step over an effective batch; return its loss, a mean over all its valid positions.

        A step whose loss or gradient is not finite is skipped: it returns None and leaves the weights as they were.
        When the GPU memory is not enough, this step is repeated, and all later ones are taken, with micro-batches of
        half the size. Raises UserError for too many skipped steps in a row, and when halves do not fit either.
        """
        parts = self._parts_per_batch(len(batches), state)
        micro_batches = [micro_batch for batch in batches for micro_batch in batch.split(parts)]
        try:
            losses = self.learner.gradient(micro_batches, state.step)
        except RuntimeError as error:
            if not (self.learner.is_sharded and is_out_of_memory(error)):
                raise
            world_size = self.learner.ranks.world_size
            raise _out_of_memory(f"a micro-batch of a model sharded over {world_size} GPUs", state) from None
        if losses is None:
            self._halve(batches, state)
            return self.take(batches, state)
        norm = torch.nn.utils.clip_grad_norm_(self.learner.trainable, self.settings.max_grad_norm)
        finite = math.isfinite(sum(losses)) and math.isfinite(norm)
        if finite:
            self._update(state)
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()  # after a skipped step, too: the learning rate is a function of the step's number
        state.skipped = 0 if finite else state.skipped + 1
        if not finite:
            self._report_skipped(micro_batches, losses, state)
        return sum(losses) if finite else None

    def _update(self, state: TrainingState) -> None:
        """Update the weights; UserError when the memory is not enough for the optimiser's states, made by the first."""
        try:
            self.optimizer.step()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            name, is_sharded = self.settings.optimizer, self.learner.student.is_sharded
            smaller = "" if name == "adafactor" or is_sharded else "set optimizer adafactor, which has next to none, "
            raise UserError(
                f"training: not enough GPU memory at step {state.step + 1} for the states of optimizer {name}, which "
                f"smaller batches do not change; {smaller}add parts to freeze, or use GPUs with more memory"
            ) from None

    def _parts_per_batch(self, batches: int, state: TrainingState) -> int:
        """Return the number of parts to split a micro-batch into, so that it fits and each rank has one."""
        return (2 if state.halved else 1) * -(-self.learner.ranks.world_size // batches)

    def _halve(self, batches: list[MicroBatch], state: TrainingState) -> None:
        """Split micro-batches in two from now on; UserError if they are already, or have one example each."""
        largest = max(len(batch.source.input_ids) for batch in batches)
        if state.halved or largest == 1:
            raise _out_of_memory(f"a micro-batch of {largest}", state)
        state.halved = True
        self.optimizer.zero_grad(set_to_none=True)
        if self.learner.student.device.type == "cuda":
            torch.cuda.empty_cache()
        size, count = self.settings.batch_size, self.settings.accumulation
        log.warning(
            "not enough GPU memory at step %d: from here on micro-batches of %d and accumulation %d instead of %d and "
            "%d; the effective batch and its loss stay the same",
            *(state.step + 1, (size + 1) // 2, 2 * count, size, count),
        )

    def _report_skipped(self, micro_batches: list[MicroBatch], losses: list[float], state: TrainingState) -> None:
        """Log a skipped step with its examples; UserError when more were skipped in a row than allowed."""
        not_finite = [batch for batch, loss in zip(micro_batches, losses, strict=True) if not math.isfinite(loss)]
        what = "loss" if not_finite else "gradient"
        ids = ", ".join(name for batch in not_finite or micro_batches for name in batch.ids)
        step, skipped, allowed = state.step + 1, state.skipped, self.settings.max_skipped_steps
        log.warning("step %d skipped (%d in a row): the %s is not finite; examples: %s", step, skipped, what, ids)
        if skipped > allowed:
            raise UserError(
                f"training: the {what} is not finite at step {step}, and {skipped} steps in a row were skipped, more "
                f"than max_skipped_steps = {allowed}; lower learning_rate, raise warmup_steps, or set precision fp32; "
                f"if it is always the same examples, look at their texts: {ids}"
            )


def _out_of_memory(what: str, state: TrainingState) -> UserError:
    return UserError(
        f"training: not enough GPU memory at step {state.step + 1} for {what}; lower batch_size and raise accumulation "
        "by the same factor (the effective batch stays the same), lower max_source_tokens or max_target_tokens, set "
        "precision bf16, or use a GPU with more memory"
    )
