"""What each step of a run learns from: the kinds of sequence that a schedule chooses, and samples that are replayed."""

from dataclasses import dataclass

import numpy as np

from fdistill.losses.objectives import Objective
from fdistill.losses.schedule import ADAPTIVE, REPLAY, uniform
from fdistill.losses.sequences import REPLAYED_SAMPLES
from fdistill.training.state import TrainingState


@dataclass(frozen=True)
class StepPlan:
    """Decides what the next step learns from, as a function of the objective, the seed and the run's state.

    All ranks decide alike, and a resumed run decides as the uninterrupted one did.
    """

    objective: Objective
    total_steps: int
    seed: int

    def kinds(self, state: TrainingState) -> tuple[str, ...]:
        """Return the kinds of sequence that the next step uses."""
        schedule = self.objective.schedule
        if schedule is None:
            return self.objective.sequences
        share = schedule.share(self._progress(state), state.growths)
        return self.objective.kinds(schedule.is_student_step(state.step, share, self.seed))

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

    def keep(self, state: TrainingState, samples: list[tuple[int, list[int]]]) -> None:
        """Store the samples of the step just taken if they are new; the oldest give way."""
        if REPLAYED_SAMPLES in self.kinds(state) and not self.replays(state):
            state.replay = [*state.replay, *samples][-self.objective.replay_size :]

    def evaluated(self, state: TrainingState, loss: float) -> None:
        """Let an adaptive share grow if the development loss has not fallen since the evaluation before."""
        if self.objective.schedule is None or self.objective.schedule.course != ADAPTIVE:
            return
        state.growths += state.dev_loss is not None and loss >= state.dev_loss
        state.dev_loss = loss

    def _progress(self, state: TrainingState) -> float:
        return state.step / max(1, self.total_steps)
