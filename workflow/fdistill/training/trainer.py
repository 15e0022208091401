"""One training loop for everything that is trained: the teacher, the pre-distilled student, every method."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.optimization import Adafactor, get_linear_schedule_with_warmup

from fdistill.data.batches import epoch_batches, label_batch, source_batch
from fdistill.losses.objectives import STUDENT_SAMPLES, Objective
from fdistill.models import fsdp
from fdistill.models.language_model import LanguageModel
from fdistill.models.students import freeze
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.runtime.errors import UserError
from fdistill.runtime.interruption import Stopped
from fdistill.runtime.progress import Progress
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.learner import Learner
from fdistill.training.micro_batches import MicroBatch, TrainingData
from fdistill.training.state import NOWHERE, Checkpoints, State

log = logging.getLogger(__name__)

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    # The fixed learning rate of the T5 recipe, as in the reference code; Shazeer & Stern 2018 otherwise.
    "adafactor": lambda parameters, lr, weight_decay: Adafactor(
        parameters, lr=lr, weight_decay=weight_decay, scale_parameter=False, relative_step=False
    ),
}


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained. The config's schema describes each key and gives its default."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    accumulation: int
    max_examples: int | None
    epochs: float
    max_steps: int | None
    warmup_steps: int
    max_grad_norm: float
    precision: str
    freeze: list[str]
    evaluate_every: float
    patience: int | None
    max_skipped_steps: int
    checkpoint_minutes: float | None


class Trainer:
    """Trains `student` towards `objective`, with `teacher` fixed."""

    def __init__(
        self,
        student: LanguageModel,
        teacher: LanguageModel | None,
        objective: Objective,
        data: TrainingData,
        settings: TrainingSettings,
        sampling: SamplingConfig,
        seed: int,
        ranks: Ranks = SINGLE_PROCESS,
    ):
        """`sampling` is how the student's samples are drawn on line; `seed` fixes order, dropout, samples.

        The micro-batches of a step are shared among `ranks`, which all take the same step. Where they are fewer than
        the workers they are split, and dropout is another, as it is not drawn by example; all else is the same.
        """
        self.student, self.data, self.settings, self.seed, self.ranks = student, data, settings, seed, ranks
        freeze(student, settings.freeze)
        self.learner = Learner(student, teacher, objective, sampling, settings.precision, seed, ranks)
        self.trainable = self.learner.trainable
        if not self.trainable:
            raise UserError(f"training.freeze: {', '.join(settings.freeze)} leaves nothing to train")
        self.epoch_steps = -(-len(data.train) // (settings.batch_size * settings.accumulation))
        self.total_steps = max(1, round(settings.epochs * self.epoch_steps)) if settings.epochs else 0
        if settings.max_steps is not None:
            self.total_steps = min(self.total_steps, settings.max_steps)
        self.evaluate_steps = max(1, round(settings.evaluate_every * self.epoch_steps))
        if self.student.is_sharded and settings.optimizer == "adafactor":
            raise UserError("training.optimizer: adafactor cannot train a model shared among GPUs; take adamw or adam")
        make = OPTIMIZERS[settings.optimizer]
        self.optimizer = make(self.trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, settings.warmup_steps, max(1, self.total_steps))
        self.state = State()

    def step(self, batches: list[MicroBatch]) -> float | None:
        """One optimiser step over an effective batch; its loss, a mean over the valid positions of all of it.

        None, and the weights as they were, when loss or gradient is not finite. When the GPU's memory is not enough,
        the step is taken again with micro-batches of half the size, as are all after it. Raises UserError for too many
        of the first in a row, and when halves do not fit either.
        """
        pieces = [piece for batch in batches for piece in batch.split(self.pieces_of_each(len(batches)))]
        try:
            losses = self.learner.gradient(pieces, self.state.step)
        except torch.OutOfMemoryError:
            if not self.learner.is_sharded:
                raise
            raise self.too_large(f"a micro-batch shared among {self.ranks.world_size} GPUs") from None
        if losses is None:
            self.halve(batches)
            return self.step(batches)
        norm = torch.nn.utils.clip_grad_norm_(self.trainable, self.settings.max_grad_norm)
        finite = math.isfinite(sum(losses)) and math.isfinite(norm)
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()  # of a skipped step, too: the learning rate is a function of the step's number
        self.state.skipped = 0 if finite else self.state.skipped + 1
        if not finite:
            self.report_skipped(pieces, losses)
        return sum(losses) if finite else None

    def pieces_of_each(self, batches: int) -> int:
        """Into how many pieces a micro-batch is split: for the GPU's memory, and so that each worker has one."""
        return (2 if self.state.halved else 1) * -(-self.ranks.world_size // batches)

    def halve(self, batches: list[MicroBatch]) -> None:
        """Take micro-batches of half the size from now on, and as many more; UserError when that cannot be done."""
        largest = max(len(batch.source.input_ids) for batch in batches)
        if self.state.halved or largest == 1:
            raise self.too_large(f"a micro-batch of {largest}")
        self.state.halved = True
        self.optimizer.zero_grad(set_to_none=True)
        if self.student.device.type == "cuda":
            torch.cuda.empty_cache()
        size, count = self.settings.batch_size, self.settings.accumulation
        log.warning(
            "not enough GPU memory at step %d: from here on micro-batches of %d and accumulation %d instead of %d and "
            "%d; the effective batch and its loss stay the same",
            *(self.state.step + 1, (size + 1) // 2, 2 * count, size, count),
        )

    def too_large(self, what: str) -> UserError:
        """What to say when `what` does not fit."""
        return UserError(
            f"training: not enough GPU memory at step {self.state.step + 1} for {what}; lower batch_size and raise "
            "accumulation by as much (the effective batch stays), lower max_source_tokens or max_target_tokens, set "
            "precision bf16, or take a GPU with more memory"
        )

    def report_skipped(self, pieces: list[MicroBatch], losses: list[float]) -> None:
        """Log a skipped step with its examples; UserError when there were more in a row than allowed."""
        suspects = [piece for piece, loss in zip(pieces, losses, strict=True) if not math.isfinite(loss)] or pieces
        what = "loss" if suspects is not pieces else "gradient"
        ids = ", ".join(name for piece in suspects for name in piece.ids)
        step, skipped, allowed = self.state.step + 1, self.state.skipped, self.settings.max_skipped_steps
        log.warning("step %d skipped (%d in a row): the %s is not finite; examples: %s", step, skipped, what, ids)
        if skipped > allowed:
            raise UserError(
                f"training: the {what} is not finite at step {step}, and {skipped} steps in a row were skipped, more "
                f"than max_skipped_steps = {allowed}; lower learning_rate, raise warmup_steps, or set precision fp32; "
                f"if it is always the same examples, look at their texts: {ids}"
            )

    def batches(self) -> Iterator[list[MicroBatch]]:
        """Effective batches without end, epoch after epoch, from the one on that the next step is to take."""
        lengths = [(len(s), len(t)) for s, t in zip(self.data.train.sources, self.data.train.targets, strict=True)]
        epoch, begin = divmod(self.state.step, self.epoch_steps)
        while True:
            groups = epoch_batches(lengths, self.settings.batch_size, self.seed, epoch)
            for i in range(begin * self.settings.accumulation, len(groups), self.settings.accumulation):
                yield [self.micro_batch(indices, epoch) for indices in groups[i : i + self.settings.accumulation]]
            epoch, begin = epoch + 1, 0

    def micro_batch(self, indices: list[int], epoch: int) -> MicroBatch:
        """Some examples with their sequences of one epoch, but for the student's samples."""
        train, stored = self.data.train, [kind for kind in self.learner.objective.sequences if kind != STUDENT_SAMPLES]
        labels = {
            kind: label_batch([self.data.sequences(kind, i, epoch) for i in indices], self.student.device)
            for kind in stored
        }
        source = source_batch(self.student, [train.sources[i] for i in indices])
        cached = [self.data.cached_distributions(i, epoch) for i in indices] if self.data.cache else None
        return MicroBatch(source, labels, indices, [train.ids[i] for i in indices], cached)

    def run(
        self,
        score: Callable[[LanguageModel], dict[str, float]],
        select_by: str,
        higher_is_better: bool,
        keep_last: bool = False,
        checkpoints: Checkpoints = NOWHERE,
    ) -> list[dict[str, Any]]:
        """Train, and leave the student with the weights that scored best on the development split, or the last ones.

        `score` evaluates the student; of what it returns, `select_by` decides. Returns the history: per evaluation,
        one entry with the mean training loss since the last one, and one with the scores. With `checkpoints` it goes on
        from the latest, to the same end as a run that was never stopped, and ends by `Stopped` when told to.
        """
        if (latest := checkpoints.latest()) is not None:
            self.load_state_dict(latest)
            del latest  # as large as the model and its optimiser
        state = self.state
        stream = self.batches()
        progress = Progress("training", self.total_steps, state.step)
        tokens, seconds = 0, 0.0
        while self.evaluation_is_due() or self.goes_on():
            checkpoints.keep(self.state_dict, f"step {state.step} of {self.total_steps}")
            if self.evaluation_is_due():
                self.evaluate(score, select_by, higher_is_better, keep_last, checkpoints)
                continue
            began = time.monotonic()
            batches = next(stream)
            loss = self.step(batches)
            state.step += 1
            if loss is not None:
                state.losses.append(loss)
            seconds += time.monotonic() - began
            tokens += self.learner.tokens
            progress.advance(loss=math.nan if loss is None else loss, tokens_per_s=tokens / seconds)
        progress.close()
        if state.best_weights is not None:
            self.load_weights(state.best_weights)
        self.student.module.eval()
        return state.history

    def goes_on(self) -> bool:
        """Whether a step follows: some are left, and patience is too."""
        patience = self.settings.patience
        return self.state.step < self.total_steps and (patience is None or self.state.waited < patience)

    def evaluation_is_due(self) -> bool:
        """Whether the last step is one after which the student is evaluated, and it has not been."""
        step, history = self.state.step, self.state.history
        evaluated = history[-1]["step"] if history else 0
        return step > evaluated and (step % self.evaluate_steps == 0 or step == self.total_steps)

    def evaluate(
        self,
        score: Callable[[LanguageModel], dict[str, float]],
        select_by: str,
        higher_is_better: bool,
        keep_last: bool,
        checkpoints: Checkpoints,
    ) -> None:
        """Score the student, and remember its weights when it is the best so far; nothing, when told to stop."""
        state = self.state
        try:  # it may take longer than there is time to stop; workers end it, as they wait for each other's part
            with checkpoints.interruption.at_once() if self.ranks.world_size == 1 else nullcontext():
                scores = {name: float(value) for name, value in score(self.student).items()}
        except Stopped:  # begun again by the run that goes on
            return
        if state.losses:  # not all were skipped
            loss, rate = sum(state.losses) / len(state.losses), self.schedule.get_last_lr()[0]
            state.history.append({"step": state.step, "loss": loss, "learning_rate": rate})
        state.history.append({"step": state.step, "dev": scores})
        state.losses = []
        log.info("step %d: development %s", state.step, "  ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        value = scores[select_by] if higher_is_better else -scores[select_by]
        if value > state.best:
            state.best, state.waited = value, 0
            if not keep_last:
                state.best_weights = {name: weight.detach().cpu().clone() for name, weight in self.weights().items()}
            return
        state.waited += 1
        if not self.goes_on() and state.step < self.total_steps:
            log.info("no better for %d evaluations: stopped at step %d", state.waited, state.step)

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the run goes on; random numbers do not, being functions of the step."""
        module = self.student.module
        return {
            "state": vars(self.state),
            "weights": self.weights(),
            "optimizer": fsdp.optimizer_state(module, self.optimizer)
            if self.student.is_sharded
            else self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""
        self.state = State(**saved["state"])
        self.load_weights(saved["weights"])
        if self.student.is_sharded:
            fsdp.load_optimizer_state(self.student.module, self.optimizer, saved["optimizer"])
        else:
            self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])

    def weights(self) -> dict[str, Tensor]:
        """The student's weights, whole in worker 0."""
        return fsdp.weights(self.student.module) if self.student.is_sharded else self.student.module.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Put back what `weights` gave."""
        if self.student.is_sharded:
            fsdp.load_weights(self.student.module, weights)
        else:
            self.student.module.load_state_dict(weights)
