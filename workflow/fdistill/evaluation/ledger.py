"""The cost ledger: the records of everything that a study's results were made from, summed by stage and method."""

import os
from pathlib import Path
from typing import Any

from fdistill.artifacts.provenance import total
from fdistill.artifacts.records import SUFFIX, read_record
from fdistill.evaluation.tables.render import Cell, Column, Table

Record = dict[str, Any]


def ledger(results: Path, targets: list[Path]) -> dict[str, Any]:
    """Jobs and costs of `targets` and of all that they were made from, by the records below folder `results`.

    `rows` has one entry per stage and method, in the order of the work, `total` their sum. `sources` are the inputs
    from elsewhere with their hashes. `missing` names the files below `results` without a record, and `changed` those
    that were made again after something was made from them: for these the ledger is not complete.
    """
    records = {Path(path).resolve(): made for made in _records(results) for path in made["outputs"]}
    used: list[Record] = []
    sources: dict[str, str] = {}
    missing: dict[str, None] = {}
    changed: dict[str, None] = {}
    seen: set[str] = set()

    def visit(path: str, digest: str | None) -> None:
        place = Path(path).resolve()
        made = records.get(place)
        if made is None:
            if place.is_relative_to(results.resolve()):
                missing[path] = None
            elif digest is not None:
                sources[path] = digest
            return
        if digest not in (None, *made["outputs"].values()):
            changed[path] = None
        first = min(made["outputs"])
        if first in seen:
            return
        seen.add(first)
        for source, its in made["inputs"].items():
            visit(source, its)
        used.append(made)

    for target in targets:
        visit(str(target), None)
    rows: dict[tuple[str, str], list[Record]] = {}
    for made in used:
        rows.setdefault((made["stage"], _method(made, results)), []).append(made)
    return {
        "rows": [_row(*key, jobs) for key, jobs in rows.items()],
        "total": _row("all", "", used),
        "sources": sources,
        "code": sorted({made["code"]["commit"] + "-dirty" * bool(made["code"]["dirty"]) for made in used}),
        "missing": list(missing),
        "changed": list(changed),
    }


def table(found: dict[str, Any]) -> Table:
    """The ledger as a table."""
    columns = [
        Column("Stage"),
        Column("Method"),
        Column("Jobs", number=True),
        Column("Attempts", number=True),
        Column("Wall time, h", number=True),
        Column("GPU hours", number=True),
        Column("Memory, GiB", number=True),
        Column("GPU memory, GiB", number=True),
    ]
    notes = [f"Code: {', '.join(found['code']) or 'none'}."]
    notes += [f"No record of {path}: its cost is not in the sums." for path in found["missing"]]
    notes += [f"{path} was made again after others had used it." for path in found["changed"]]
    return Table(
        caption="What the study cost: wall time summed over jobs and their attempts, memory at its highest in any one.",
        columns=columns,
        sections=[[_cells(row) for row in found["rows"]], [_cells(found["total"])]],
        records=[*found["rows"], found["total"]],
        notes=notes,
    )


def _row(stage: str, method: str, made: list[Record]) -> dict[str, Any]:
    attempts = sum(job["attempts"] for job in made)
    return {"stage": stage, "method": method, "jobs": len(made), "attempts": attempts, **total(made)}


def _cells(row: dict[str, Any]) -> list[Cell]:
    costs = (row["wall_seconds"] / 3600, row["gpu_hours"])
    peaks = (row["peak_memory_mib"] / 1024, row["peak_gpu_memory_mib"] / 1024)
    texts = [row["stage"], row["method"], f"{row['jobs']:,}", f"{row['attempts']:,}", *(f"{x:,.3f}" for x in costs)]
    return [Cell(text) for text in (*texts, *(f"{x:,.1f}" for x in peaks))]


def _records(results: Path) -> list[Record]:
    return [read_record(path) for path in sorted(results.rglob(f"*{SUFFIX}"))]


def _method(made: Record, results: Path) -> str:
    """`results/{task}/{method}/...`; a stage that all methods share has its own name there, or nothing."""
    parts = Path(os.path.relpath(next(iter(made["outputs"])), results)).parts
    return parts[1] if len(parts) > 2 and parts[1] != made["stage"] else ""
