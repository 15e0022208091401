"""What each step of a run learns from: the kinds of sequence that a schedule chooses, and samples that are replayed."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdistill.losses.objectives import Objective
from fdistill.losses.schedule import ADAPTIVE, REPLAY, uniform
from fdistill.losses.sequences import FROM_STUDENT, REPLAYED_SAMPLES
from fdistill.training.state import TrainingState

log = logging.getLogger(__name__)

REPLAYS = "replays"  # beside the kinds of sequence in `TrainingState.steps_of`: the steps that used stored samples


@dataclass(frozen=True)
class StepPlan:
    """Decides what the next step learns from, as a function of the objective, the seed and the run's state.

    All ranks decide alike, and a resumed run decides as the uninterrupted one did.
    """

    objective: Objective
    total_steps: int
    seed: int

    def check_growth(self, evaluate_steps: int) -> None:
        """Log a warning if an adaptive share cannot grow: it does at evaluations, which are `evaluate_steps` apart."""
        if self._is_adaptive and evaluate_steps >= self.total_steps > 0:
            log.warning(
                "the share of the schedule never grows: evaluations are %d steps apart, and training has %d; lower "
                "training.evaluate_every",
                *(evaluate_steps, self.total_steps),
            )

    def kinds(self, state: TrainingState) -> tuple[str, ...]:
        """Return the kinds of sequence that the next step uses."""
        schedule = self.objective.schedule
        if schedule is None:
            return self.objective.sequences
        return self.objective.kinds(schedule.is_student_step(state.step, self._share(state), self.seed))

    def replays(self, state: TrainingState) -> bool:
        """Return whether the next step uses samples that are stored, instead of new ones.

        New ones are sampled until the buffer is full, and then in a share of the steps that falls from 1 to 0 over the
        run (DistiLLM, Ko et al. 2024, section 3.2, adaptive off-policy).
        """
        if REPLAYED_SAMPLES not in self.kinds(state) or len(state.replay) < self.objective.replay_size:
            return False
        return uniform(REPLAY, self.seed, state.step) >= 1 - self._progress(state)

    def replayed(self, state: TrainingState, count: int) -> list[tuple[int, list[int]]]:
        """Return `count` stored samples, or all if there are fewer: rows of the training split with token ids."""
        size = len(state.replay)
        chosen = np.random.default_rng((REPLAY, self.seed, state.step, 1)).permutation(size)[:count]
        return [state.replay[i] for i in chosen]

    def taken(self, state: TrainingState, samples: list[tuple[int, list[int]]]) -> None:
        """Count the step just taken, and store its samples if they are new; the oldest give way."""
        kinds, replays = self.kinds(state), self.replays(state)
        for kind in (*kinds, *([REPLAYS] if replays else [])):
            state.steps_of[kind] = state.steps_of.get(kind, 0) + 1
        if REPLAYED_SAMPLES in kinds and not replays:
            state.replay = [*state.replay, *samples][-self.objective.replay_size :]

    def report(self, state: TrainingState) -> dict[str, Any]:
        """Return what an evaluation records: the student's present share, and how many steps learnt from each kind.

        Empty if all steps learn from the same.
        """
        if self.objective.schedule is None and REPLAYED_SAMPLES not in self.objective.sequences:
            return {}
        share = {} if self.objective.schedule is None else {"student_share": self._share(state)}
        return {**share, "steps_of": dict(state.steps_of)}

    def is_before_student(self, report: dict[str, Any]) -> bool:
        """Return whether no step before an evaluation, of which `report` was recorded, learnt from the student."""
        learns = not {*FROM_STUDENT}.isdisjoint(self.objective.sequences)
        return learns and "steps_of" in report and {*FROM_STUDENT}.isdisjoint(report["steps_of"])

    def evaluated(self, state: TrainingState, loss: float) -> None:
        """Let an adaptive share grow if the development loss has not fallen since the evaluation before."""
        if self._is_adaptive:
            state.growths += state.dev_loss is not None and loss >= state.dev_loss
            state.dev_loss = loss

    @property
    def _is_adaptive(self) -> bool:
        return self.objective.schedule is not None and self.objective.schedule.course == ADAPTIVE

    def _share(self, state: TrainingState) -> float:
        return self.objective.schedule.share(self._progress(state), state.growths)

    def _progress(self, state: TrainingState) -> float:
        return state.step / max(1, self.total_steps)
