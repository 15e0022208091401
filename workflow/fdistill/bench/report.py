"""What was measured, as a table."""

from typing import Any

from fdistill.bench.steps import OURS, PARTS, PLAIN
from fdistill.evaluation.tables.render import Cell, Column, Table

TITLES = {OURS: "this project", PLAIN: "plain recipe"}


def table(measured: list[dict[str, Any]], what: str) -> Table:
    """Milliseconds per step; `measured` holds an entry per method, as `steps.compare` gives it with its `method`."""
    columns = [Column("Method"), Column("Step"), *(Column(title, "ms", number=True) for title in ("whole", *PARTS))]
    columns += [Column("tokens/s", number=True)]
    sections, records, notes = [], [], []
    for entry in measured:
        rows = []
        for name, title in TITLES.items():
            found = entry[name]
            times = [found["seconds"], *(found["parts"][part] for part in PARTS)]
            shown = [f"{1000 * seconds:,.1f}" for seconds in times] + [f"{found['tokens_per_second']:,.0f}"]
            rows.append([Cell(text) for text in (entry["method"], title, *shown)])
            records.append({"method": entry["method"], "step": name, **found["parts"], "whole": found["seconds"]})
        sections.append(rows)
        losses = entry["losses"]
        notes.append(
            f"{entry['method']}: {entry['ratio']:.2f} times the plain recipe's speed; losses of the same samples "
            f"{losses[OURS]:.6f} and {losses[PLAIN]:.6f}."
        )
    return Table(
        caption=f"A step of distillation, medians: {what}.",
        columns=columns,
        sections=sections,
        records=records,
        notes=notes,
    )
