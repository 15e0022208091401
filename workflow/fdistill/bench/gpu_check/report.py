"""The outcomes as a table."""

from typing import Any

from fdistill.bench.gpu_check.outcome import Outcome
from fdistill.evaluation.tables.numbers import NONE
from fdistill.evaluation.tables.table import Table, cells_of


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
    caption = f"Every stage with small models on {where['name']} ({versions})."
    return Table(caption, cells_of(headings, [*sections.values()]), names=5, notes=notes)
