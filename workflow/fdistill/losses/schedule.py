"""Schedules: which steps learn from the student's own sequences, and which from the data's and the teacher's.

Joint-Teaching, GKD, ImitKD and DistiLLM mix the two by steps instead of by a sum in each step. A schedule is a function
of the step, so that an interrupted run goes on as it would have; what an adaptive one knows of the development split
is `TrainingState.growths`.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np

# How the steps of a share are chosen.
ALTERNATING, RANDOM = DRAWS = ("alternating", "random")
# How the share changes in the course of a run.
CONSTANT, LINEAR, EXPONENTIAL, ADAPTIVE = COURSES = ("constant", "linear", "exponential", "adaptive")

# The first number of the seeds of what is decided once per step; those of samples and dropout are the learner's.
STEP_KIND, REPLAY = 4, 5


@dataclass(frozen=True)
class Schedule:
    """The share of the steps that learn from the student's own sequences.

    The keys of the same names in the configuration's schema, section `schedule`, describe the fields.
    """

    student_share: float
    draw: str = RANDOM
    course: str = CONSTANT
    end_share: float | None = None
    growth: float = 0.1

    def share(self, progress: float, growths: int = 0) -> float:
        """Return the student's share at a point of a run, `progress` from 0 to 1.

        `linear` and `exponential` go from `student_share` to `end_share`: the share, or the other steps' share by a
        constant factor per step (ImitKD, Lin et al. 2020, in which the latter falls from 1). `adaptive`
        has grown `growths` times (DistiLLM, Ko et al. 2024, section 3.2).
        """
        if self.course == LINEAR:
            return self.student_share + progress * (self.end_share - self.student_share)
        if self.course == EXPONENTIAL:
            return 1 - (1 - self.student_share) ** (1 - progress) * (1 - self.end_share) ** progress
        if self.course == ADAPTIVE:
            return min(1.0, self.student_share + growths * self.growth)
        return self.student_share

    @property
    def mean_share(self) -> float:
        """The mean share of a run, of an adaptive one that of its beginning, for estimates of costs."""
        points = 100
        return sum(self.share((i + 0.5) / points) for i in range(points)) / points

    def is_student_step(self, step: int, share: float, seed: int) -> bool:
        """Return whether a step learns from the student's own sequences.

        `alternating` spreads a constant share evenly: step t does if ⌊(t+1) share⌋ > ⌊t share⌋, exactly. `random` draws
        from `seed` and the step, independently for each step (GKD, Agarwal et al. 2024, Algorithm 1).
        """
        if self.draw == RANDOM:
            return uniform(STEP_KIND, seed, step) < share
        exact = Fraction(str(share))  # the number as it is written: 0.1 in binary is more than a tenth
        return floor((step + 1) * exact) > floor(step * exact)


def uniform(*seed: int) -> float:
    """Return a random number in [0, 1) that is a function of `seed`."""
    return np.random.default_rng(seed).random()
