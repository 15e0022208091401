"""What a check found, and the table of the outcomes."""

from dataclasses import dataclass
from typing import Any

from fdistill.evaluation.tables.numbers import NONE
from fdistill.evaluation.tables.table import Table, cells_of

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


def outcome_table(outcomes: list[Outcome], where: dict[str, Any]) -> Table:
    """Return the table of the outcomes, a row each; `where` is the machine."""
    headings = ["Check", "Family", "Precision", "Status", "Measured", "Value", "Bound", "s"]
    sections: dict[tuple[str, str], list[list[str]]] = {}
    notes = []
    for outcome in outcomes:
        measured, what, value, bound = outcome.measured, NONE, NONE, NONE
        if measured is not None:
            what, value = measured.what, f"{measured.value:.2g}"
            bound = NONE if measured.bound is None else f"{measured.bound:.2g}"
        row = [outcome.check, outcome.family, outcome.precision, outcome.status, what, value, bound]
        sections.setdefault((outcome.family, outcome.precision), []).append([*row, f"{outcome.seconds:.1f}"])
        said = outcome.reason.strip().splitlines()[-1:] or ([measured.caveat] if measured and measured.caveat else [])
        notes += [f"{outcome.check}, {outcome.family} {outcome.precision}: {outcome.status}, {line}" for line in said]
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items() if version)
    caption = f"Small models on {where['name']} ({versions})."
    return Table(caption, cells_of(headings, [*sections.values()]), names=5, notes=notes)
