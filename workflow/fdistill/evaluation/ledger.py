"""The cost ledger: what a study's results cost, summed by stage and method from the records of all jobs behind them."""

import os
from pathlib import Path
from typing import Any

from fdistill.artifacts.provenance import PEAKS, SUMS, total
from fdistill.artifacts.records import SUFFIX, read_record
from fdistill.artifacts.shapes import COUNT, AtLeast
from fdistill.artifacts.systems import split_size
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.runtime.errors import UserError

Record = dict[str, Any]
# What is read of a record besides its outputs, as `artifacts.shapes` describes it.
SHAPE = {
    "stage": str,
    "inputs": {...: str},
    "attempts": COUNT,
    "code": {"commit": str, "dirty": (bool, None)},
    **dict.fromkeys((*SUMS, *PEAKS), AtLeast(float)),
}
RATINGS = ("human", "ratings")  # the folder below a task's in which annotators' files lie, which no job makes
LEDGER = "provenance"  # the stage that writes the ledger, which does not count itself


def ledger(results: Path, targets: list[Path] | None = None) -> dict[str, Any]:
    """Sum the jobs and costs of `targets` and of all results that they depend on, from the records in `results`.

    Without targets, all records count.

    Returns `{"rows", "total", "sources", "code", "missing", "changed"}`. `rows` has one entry per stage and method in
    the order of the jobs, `total` their sum, `sources` the inputs that are no results, with their hashes, `code` the
    commits. `missing` lists results without a record, `changed` those that were rebuilt after another result had used
    them; if there are any, the ledger is incomplete. Raises UserError for a damaged record, and for a target that no
    record names.
    """
    all_records = _records(results)
    records = {Path(path).resolve(): record for record in all_records for path in record["outputs"]}
    used: list[Record] = []
    sources: dict[str, str] = {}
    missing: dict[str, None] = {}
    changed: dict[str, None] = {}
    visited: set[str] = set()

    def visit(path: str, digest: str | None) -> None:
        resolved = Path(path).resolve()
        record = records.get(resolved)
        if record is None:
            if resolved.is_relative_to(results.resolve()) and resolved.parts[-3:-1] != RATINGS:
                missing[path] = None
            elif digest is not None:
                sources[path] = digest
            return
        if digest not in (None, *record["outputs"].values()):
            changed[path] = None
        job = min(record["outputs"])  # one record per job, whichever of its outputs leads here
        if job in visited:
            return
        visited.add(job)
        for input_path, input_digest in record["inputs"].items():
            visit(input_path, input_digest)
        used.append(record)

    if not records:
        raise UserError(f"{results}: no record of a job there; run the study first, or give the folder of its results")
    if unknown := [target for target in targets or [] if target.resolve() not in records]:
        raise UserError(f"{unknown[0]}: no record in {results} names it; give a result of the study, or run it first")
    for target in targets or [
        path for record in all_records if record["stage"] != LEDGER for path in record["outputs"]
    ]:
        visit(str(target), None)
    rows: dict[tuple[str, str], list[Record]] = {}
    for record in used:
        rows.setdefault((record["stage"], _method(record, results)), []).append(record)
    return {
        "rows": [_row(*key, jobs) for key, jobs in rows.items()],
        "total": _row("all", "", used),
        "sources": sources,
        "code": sorted({record["code"]["commit"] + "-dirty" * bool(record["code"]["dirty"]) for record in used}),
        "missing": list(missing),
        "changed": list(changed),
    }


def table(summary: dict[str, Any]) -> Table:
    """Return the result of `ledger` as a table."""
    headings = ["Stage", "Method", "Jobs", "Attempts", "Wall time, h", "GPU hours", "Memory, GiB", "GPU memory, GiB"]
    notes = [f"Code: {', '.join(summary['code']) or 'none'}."]
    notes += [f"No record of {path}: its cost is not in the sums." for path in summary["missing"]]
    notes += [f"{path} was rebuilt after other results had used it." for path in summary["changed"]]
    return Table(
        caption="What the study cost: wall time summed over jobs and their attempts, memory at its highest in any one.",
        cells=cells_of(headings, [[_texts(row) for row in summary["rows"]], [_texts(summary["total"])]]),
        names=2,
        notes=notes,
    )


def _row(stage: str, method: str, jobs: list[Record]) -> dict[str, Any]:
    attempts = sum(job["attempts"] for job in jobs)
    return {"stage": stage, "method": method, "jobs": len(jobs), "attempts": attempts, **total(jobs)}


def _texts(row: dict[str, Any]) -> list[str]:
    costs = (row["wall_seconds"] / 3600, row["gpu_hours"])
    peaks = (row["peak_memory_mib"] / 1024, row["peak_gpu_memory_mib"] / 1024)
    texts = [row["stage"], row["method"], f"{row['jobs']:,}", f"{row['attempts']:,}", *(f"{x:,.3f}" for x in costs)]
    return [*texts, *(f"{x:,.1f}" for x in peaks)]


def _records(results: Path) -> list[Record]:
    return [read_record(path, SHAPE) for path in sorted(results.rglob(f"*{SUFFIX}"))]


def _method(record: Record, results: Path) -> str:
    """The method in `results/{task}/{method}/...`; "" for a stage that all methods share."""
    parts = Path(os.path.relpath(next(iter(record["outputs"])), results)).parts
    return parts[1] if len(parts) > 2 and split_size(parts[1])[0] != record["stage"] else ""
