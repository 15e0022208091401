"""The result of a metric, and the exceptions when it cannot be computed or breaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from fdistill.evaluation.resampling import replicate_mean
from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Score:
    """A value over the corpus, a signature that states exactly how it was computed, and its bootstrap replicates."""

    value: float
    signature: str
    replicates: list[float]


def mean_score(values: Sequence[float], signature: str) -> Score:
    """Return the mean of `values` (N,), one per input and from 0 to 1, x 100."""
    return Score(100 * sum(values) / len(values), signature, replicate_mean(values, scale=100))


class MetricMissing(Exception):
    """A metric cannot be computed here, for a reason and with a remedy (`fix`).

    Both are recorded instead of a value, and become a footnote of the tables.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.fix = fix


class MetricFailed(UserError):
    """A metric broke while it ran, as for want of memory: another run may succeed, so that nothing is recorded."""


def release(package: str) -> str:
    """Return the installed version without its build (`2.13.0+cpu` -> `2.13.0`), for a signature."""
    return version(package).split("+")[0]
