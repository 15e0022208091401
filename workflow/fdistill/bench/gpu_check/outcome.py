"""What a check found."""

from dataclasses import dataclass

OK, FAILED, MISSING = "ok", "failed", "n/a"


class NotApplicable(Exception):
    """A check has no meaning here, or lacks what it needs: the reason, and what helps."""


@dataclass(frozen=True)
class Measured:
    """What a check has measured: a number with its name, and the bound that it must not exceed, if there is one.

    `note` are further numbers; `caveat` is what the table must say although the check is passed.
    """

    what: str
    value: float
    bound: float | None = None
    note: str = ""
    caveat: str = ""

    @property
    def is_within(self) -> bool:
        """Whether the value is a number within the bound."""
        return self.value == self.value and (self.bound is None or self.value <= self.bound)


@dataclass(frozen=True)
class Outcome:
    """The row of a check: `status` is OK, FAILED or MISSING, and `reason` says why it is not OK."""

    check: str
    family: str
    precision: str
    status: str
    seconds: float = 0.0
    measured: Measured | None = None
    reason: str = ""
