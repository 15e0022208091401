"""What a metric's function returns, or raises when it cannot."""

from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Score:
    """A corpus-level value and the signature that says exactly how it was computed."""

    value: float
    signature: str


class MetricMissing(Exception):
    """A metric that has no value here: why, and what would give it one.

    It is recorded beside the values (never as a number) and becomes a footnote of the tables.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason
        self.fix = fix


def release(package: str) -> str:
    """The installed version less its build (`2.13.0+cpu` -> `2.13.0`), as a signature wants it."""
    return version(package).split("+")[0]
