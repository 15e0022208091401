"""The table of what a layer costs in inference time (Shleifer & Rush 2020, section 6.4)."""

from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.numbers import MISSING
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.evaluation.times import LAYERS_FILE
from fdistill.runtime.errors import UserError

STACKS = ("decoder", "encoder")
WAYS = {"forward": "forward pass", "generate": "generation"}
CAPTION = (
    "Inference time as a linear function of the numbers of encoder and decoder layers, fitted by least squares to "
    "models of the task's shapes with random weights and random numbers of layers. One more layer: in percent of the "
    "full model's fitted time, ± half of the 95 % interval. Decoder / encoder: how many encoder layers a decoder layer "
    "costs. Forward pass: sources and given targets, as Shleifer & Rush timed it. Generation: as many tokens, one at a "
    "time, greedily."
)
BASE = (
    "{source}: one forward pass of BART models on a GPU in half precision. It does not say of which model's time its "
    "percentages are: 12 layers of each kind would take 144 % of it, so that it is not the full model's. The ratio "
    "needs no such base."
)


def layers_table(times: dict[str, Path], tasks: dict[str, str], paper: PublishedTable | None = None) -> Table:
    """Build the table from each task's fit, a file of `bench_layers.py`; `tasks` has titles, in the rows' order.

    `paper` is the published table to compare with. CSV has one record per task, way and estimate. Raises UserError for
    a task without a file.
    """
    if missing := [task for task in tasks if task not in times]:
        raise UserError(f"no times for task {', '.join(missing)}; give {missing[0]}=FILE")
    files = {task: read_json(times[task], LAYERS_FILE) for task in tasks}
    headings = ["Task", "Model", "Full, ms", *(f"One more {stack} layer, %" for stack in STACKS)]
    headings += ["Decoder / encoder", "R²"]
    theirs = _published(paper)
    sections: list[list[list[Any]]] = []
    records, notes = [], []
    for task, file in files.items():
        full = "-".join(str(count) for count in file["models"][0]["layers"].values())
        rows = []
        for way, title in WAYS.items():
            fit = file["fits"][way]
            estimates = {stack: fit["percent"].get(stack) for stack in STACKS} | {"ratio": fit["ratio"]}
            cells = (_cell(entry, 2 if name == "ratio" else 1) for name, entry in estimates.items())
            time = f"{1000 * fit['full_seconds']:,.1f}"
            rows.append(
                [f"{tasks[task]}: {title.lower()}", f"{file['family']} {full}", time, *cells, f"{fit['r2']:.3f}"]
            )
            records += [_record(task, file["family"], way, name, entry, theirs) for name, entry in estimates.items()]
        sections.append(rows)
        if "encoder" not in file["models"][0]["layers"]:
            notes.append(
                f"{tasks[task]}: {MISSING}, as {file['family']} has no encoder; the fit is of the decoder alone."
            )
        notes.append(f"{tasks[task]}: {_conditions(file)}")
    if paper is not None:
        cells = [theirs[name] for name in (*STACKS, "ratio")]
        sections.append([[paper.source.partition(",")[0], "bart", MISSING, *cells, MISSING]])
        notes.append(BASE.format(source=paper.source))
    cells = cells_of(headings, sections)
    title = "Inference time by layers"
    return Table(CAPTION, cells, names=2, records=pd.DataFrame(records), notes=notes, title=title)


def _published(paper: PublishedTable | None) -> dict[str, str | None]:
    """Return the paper's percentages by stack as printed, and their ratio."""
    if paper is None:
        return {}
    numbers = {stack: paper.number("bart", stack) for stack in STACKS}
    return numbers | {"ratio": f"{float(numbers['decoder']) / float(numbers['encoder']):g}"}


def _cell(estimate: dict[str, Any] | None, digits: int) -> str:
    if estimate is None:
        return MISSING
    half = (estimate["interval"][1] - estimate["interval"][0]) / 2
    return f"{estimate['value']:.{digits}f} ± {half:.{digits}f}"


def _record(
    task: str, family: str, way: str, name: str, estimate: dict[str, Any] | None, theirs: dict[str, str | None]
) -> dict[str, Any]:
    value, (low, high) = (None, (None, None)) if estimate is None else (estimate["value"], estimate["interval"])
    place = {"task": task, "family": family, "way": way, "estimate": name}
    return place | {"value": value, "low": low, "high": high, "published": theirs.get(name)}


def _conditions(file: dict[str, Any]) -> str:
    """How a task's models were timed."""
    machine = file["machine"]
    return (
        f"{len(file['models'])} models, in turn, {file['repeats']} rounds, medians; batch {file['batch']}, "
        f"{file['source_tokens']} source and {file['target_tokens']} target tokens, {file['precision']}, on "
        f"{machine['name']}, whose load, other programs included, was {machine['load']:.1f} on {machine['cpus']} CPUs."
    )
