"""The training loop of every stage: fine-tuning the teacher, pre-distillation, every distillation method."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from fdistill.data.batches import epoch_batches
from fdistill.losses.objectives import Objective
from fdistill.models import fsdp
from fdistill.models.language_model import LanguageModel
from fdistill.models.students import freeze
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.runtime.errors import UserError
from fdistill.runtime.interruption import Stopped
from fdistill.runtime.progress import Progress
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.curves import NO_CURVES, Curves
from fdistill.training.learner import Learner
from fdistill.training.micro_batches import MicroBatch, TrainingData, micro_batch, replayed_batches
from fdistill.training.optimizer_steps import OptimizerSteps
from fdistill.training.selection import LAST, NLL, Selection
from fdistill.training.settings import TrainingSettings
from fdistill.training.state import NO_CHECKPOINTS, TrainingCheckpoints, TrainingState
from fdistill.training.step_plan import StepPlan

log = logging.getLogger(__name__)

START = "the weights that training starts from are damaged, or do not fit the development split"
LOSS_POINTS = 100  # about as many losses of a run are recorded, each the mean of as many steps


class Trainer:
    """Trains `student` on an objective; `teacher` is fixed."""

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
        """`sampling` says how the student is sampled; `seed` determines the order of examples, dropout and samples.

        The micro-batches of a step are divided among `ranks`, which all take the same step. If there are fewer
        micro-batches than ranks they are split, which changes dropout: its seed belongs to the micro-batch. All else
        is the same. Raises UserError for settings with which this model cannot be trained.
        """
        self.student, self.data, self.settings, self.seed, self.ranks = student, data, settings, seed, ranks
        freeze(student, settings.freeze)
        cached = data.cached if data.cache else ()
        self.learner = Learner(student, teacher, objective, sampling, settings.precision, seed, ranks, cached)
        self.trainable = self.learner.trainable
        self.epoch_steps = -(-len(data) // (settings.batch_size * settings.accumulation))
        self.total_steps = max(1, round(settings.epochs * self.epoch_steps)) if settings.epochs else 0
        if settings.max_steps is not None:
            self.total_steps = min(self.total_steps, settings.max_steps)
        self.evaluate_steps = max(1, round(settings.evaluate_every * self.epoch_steps))
        self.loss_steps = max(1, round(self.total_steps / LOSS_POINTS))
        self.optimizer_steps = OptimizerSteps(self.learner, settings, self.total_steps)
        self.optimizer, self.schedule = self.optimizer_steps.optimizer, self.optimizer_steps.schedule
        self.plan = StepPlan(objective, self.total_steps, seed)
        self.plan.check_growth(self.evaluate_steps)
        self.state = TrainingState()

    def step(self, batches: list[MicroBatch]) -> float | None:
        """Take one optimiser step over an effective batch; return its loss, or None if the step was skipped.

        See `OptimizerSteps.take`.
        """
        loss = self.optimizer_steps.take(batches, self.state)
        self.plan.taken(self.state, self.learner.replayable)
        return loss

    def batches(self) -> Iterator[list[MicroBatch]]:
        """Yield the effective batches, epoch after epoch without end, beginning with that of the next step."""
        lengths = [self.data.lengths(item) for item in range(len(self.data))]
        epoch, begin = divmod(self.state.step, self.epoch_steps)
        while True:
            groups = epoch_batches(lengths, self.settings.batch_size, self.seed, epoch)
            for i in range(begin * self.settings.accumulation, len(groups), self.settings.accumulation):
                yield self.micro_batches(groups[i : i + self.settings.accumulation], epoch)
            epoch, begin = epoch + 1, 0

    def micro_batches(self, groups: list[list[int]], epoch: int) -> list[MicroBatch]:
        """Return the micro-batches of the next step: of the given items, or of stored samples if it replays them."""
        kinds = self.plan.kinds(self.state)
        if not self.plan.replays(self.state):
            return [micro_batch(self.data, items, epoch, kinds, self.student) for items in groups]
        samples = self.plan.replayed(self.state, sum(map(len, groups)))
        return replayed_batches(self.data, samples, self.settings.batch_size, epoch, kinds, self.student)

    def run(
        self,
        score: Callable[[LanguageModel], dict[str, float]],
        selection: Selection,
        checkpoints: TrainingCheckpoints = NO_CHECKPOINTS,
        curves: Curves = NO_CURVES,
    ) -> list[dict[str, Any]]:
        """Train, and leave the student with its best weights on the development split, or with the last ones.

        `score` evaluates the student, before the first step and then at every evaluation; `selection` says by which of
        its values weights are best, from the first step on. Returns the history: entries with the mean training loss of
        every `loss_steps` steps, and entries with the scores of each evaluation; `curves` receives each at once.

        A run with `checkpoints` resumes from the latest and ends with the same weights as one that was never
        interrupted. When it is interrupted, it raises `Stopped`. Raises UserError for a score that is not finite.
        """
        if (latest := checkpoints.latest()) is not None:
            self.load_state_dict(latest)
            del latest  # as large as the model and its optimiser
        state = self.state
        batches = self.batches()
        progress = Progress("training", self.total_steps, state.step)
        tokens, seconds = 0, 0.0
        while self.evaluation_is_due() or self.has_next_step():
            curves.send(state.history)
            checkpoints.save_if_due(self.state_dict, f"step {state.step} of {self.total_steps}")
            if self.evaluation_is_due():
                self.evaluate(score, selection, checkpoints)
                continue
            start = time.monotonic()
            loss = self.step(next(batches))
            state.step += 1
            self.record(loss)
            seconds += time.monotonic() - start
            tokens += self.learner.tokens
            progress.advance(loss=math.nan if loss is None else loss, tokens_per_s=tokens / seconds)
        progress.close()
        curves.send(state.history)
        if state.best_weights is not None:
            self.load_weights(state.best_weights)
        self.student.module.eval()
        return state.history

    def has_next_step(self) -> bool:
        """Return whether another step follows: neither the last step nor the end of the patience is reached."""
        patience = self.settings.patience
        patient = patience is None or self.state.evaluations_since_best < patience
        return self.state.step < self.total_steps and patient

    def evaluation_is_due(self) -> bool:
        """Return whether the student is to be evaluated at this step, and has not been."""
        step, evaluated = self.state.step, [entry["step"] for entry in self.state.history if "dev" in entry]
        is_due = step % self.evaluate_steps == 0 or step == self.total_steps
        return self.total_steps > 0 and is_due and step not in evaluated[-1:]

    def record(self, loss: float | None) -> None:
        """Add the loss of the step just taken, None if it was skipped; the history has the means at fixed steps."""
        state = self.state
        if loss is not None:
            state.losses.append(loss)
        if state.losses and (state.step % self.loss_steps == 0 or state.step == self.total_steps):
            mean, rate = sum(state.losses) / len(state.losses), self.schedule.get_last_lr()[0]
            state.history.append({"step": state.step, "loss": mean, "learning_rate": rate})
            state.losses = []

    def evaluate(
        self,
        score: Callable[[LanguageModel], dict[str, float]],
        selection: Selection,
        checkpoints: TrainingCheckpoints,
    ) -> None:
        """Score the student, and copy its weights if it is the best so far. Does nothing when it is interrupted."""
        state = self.state
        # An evaluation may take longer than a job has left, so an interruption breaks it off and the resumed run
        # begins it again. Several ranks finish it, since they wait for each other in collective operations.
        can_break_off = self.ranks.world_size == 1
        try:
            with checkpoints.interruption.at_once() if can_break_off else nullcontext():
                scores = {name: float(value) for name, value in score(self.student).items()}
        except Stopped:
            return
        for name, value in scores.items():
            if not math.isfinite(value):
                raise UserError(
                    f"training: development {name} is {value} at step {state.step}; "
                    + ("lower learning_rate, raise warmup_steps, or set precision fp32" if state.step else START)
                )
        if NLL in scores:
            self.plan.evaluated(state, scores[NLL])
        plan = self.plan.report(state)
        entry = {"step": state.step, "dev": scores, **plan}
        state.history.append(entry)
        log.info("step %d: development %s", state.step, "  ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        if plan:
            log.info("step %d: %s", state.step, json.dumps(plan))
        if state.step == 0:
            return  # the starting point is recorded; only weights that were trained are selected
        if (goodness := selection.goodness(entry)) > state.best_score:
            state.best_score, state.evaluations_since_best = goodness, 0
            if selection.keep != LAST:
                state.best_weights = {name: weight.detach().cpu().clone() for name, weight in self.weights().items()}
            return
        state.evaluations_since_best += 1
        if not self.has_next_step() and state.step < self.total_steps:
            log.info(
                "early stopping at step %d: %d evaluations without a better %s",
                *(state.step, state.evaluations_since_best, selection.metric),
            )

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs. Random numbers are not part of it: they are functions of the step."""
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
        """Restore what `state_dict` returned."""
        self.state = TrainingState(**saved["state"])
        self.load_weights(saved["weights"])
        if self.student.is_sharded:
            fsdp.load_optimizer_state(self.student.module, self.optimizer, saved["optimizer"])
        else:
            self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that are trained; of a sharded student all weights, on rank 0, and none on other ranks."""
        module = self.student.module
        if self.student.is_sharded:
            return fsdp.weights(module)
        return {name: weight.detach() for name, weight in module.named_parameters() if weight.requires_grad}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Load the weights that `weights` returned."""
        if self.student.is_sharded:
            fsdp.load_weights(self.student.module, weights)
        else:
            self.student.module.load_state_dict(weights, strict=False)
