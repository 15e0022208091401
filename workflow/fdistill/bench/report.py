"""What was measured, as tables."""

from collections.abc import Iterable
from typing import Any

from fdistill.bench.clock import PEAK
from fdistill.bench.losses import LIGER
from fdistill.bench.steps import ON_POLICY, OURS, PLAIN, TRL
from fdistill.evaluation.tables.render import Cell, Column, Table
from fdistill.step_parts import PARTS

TITLES = {OURS: "this project", PLAIN: "plain recipe", TRL: "TRL", LIGER: "Liger"}
METHODS = {"js": "JS", "tvd": "TVD", ON_POLICY: "JS on student samples"}
ABSENT = "n/a"


def step_table(measured: list[dict[str, Any]], what: str, device: str) -> Table:
    """Of entries of `steps.compare`, each with its `method` and `lengths`."""
    columns = [Column("Texts"), Column("Method"), Column("Step"), Column("whole", "ms", number=True)]
    columns += [Column(part, "ms", number=True) for part in PARTS]
    columns += [Column(title, " ", number=True) for title in ("tokens/s", "MiB", "times ours")]
    sections, records, notes = [], [], []
    for entry in measured:
        named = (entry["lengths"], METHODS[entry["method"]])
        rows = []
        for name, found in entry["steps"].items():
            times = [found["seconds"]["median"], *(found["parts"][part] for part in PARTS)]
            ratio, mebibytes = found["times_ours"], found["peak_memory_bytes"] / 2**20
            shown = [f"{1000 * seconds:,.1f}" for seconds in times]
            shown += [f"{found['tokens_per_second']:,.0f}", f"{mebibytes:,.1f}", f"{ratio['median']:.2f}"]
            rows.append([Cell(text) for text in (*named, TITLES[name], *shown)])
            records.append(
                {"texts": named[0], "method": entry["method"], "step": name, "seconds": times[0], **found["parts"]}
            )
        for name, reason in entry["missing"].items():
            rows.append([*map(Cell, (*named, TITLES[name])), Cell(ABSENT, span=len(columns) - 3)])
            notes.append(f"{TITLES[name]}: {ABSENT}, as {reason}.")
        sections.append(rows)
        losses = ", ".join(f"{TITLES[name]} {value:.6f}" for name, value in entry["losses"].items())
        notes.append(f"Losses of the same samples, {named[0]} texts, {named[1]}: {losses}.")
    return Table(
        caption=f"A step of distillation: {what}.",
        columns=columns,
        sections=sections,
        records=records,
        notes=[*_explained(device), *dict.fromkeys(notes)],
    )


def _explained(device: str) -> Iterable[str]:
    yield (
        "Medians. Parts are timed in steps of their own, and what is in none of them (the optimiser, the batch) is in "
        "the whole alone. Tokens are those of targets and samples. MiB: what a step needs at most beyond weights and "
        f"optimiser state, by {PEAK[device]}. times ours: the median of the repeats' ratios."
    )


def loss_table(measured: list[dict[str, Any]], sizes: dict[str, int], where: dict[str, Any]) -> Table:
    """Of entries of `losses.compare`, each with its `method` and `positions`."""
    columns = [Column("Method"), Column("Positions", number=True), Column("Loss")]
    columns += [Column(title, number=True) for title in ("ms", "MiB", "of plain's", "value")]
    sections, records, notes = [], [], []
    for entry in measured:
        named = (METHODS[entry["method"]], f"{entry['positions']:,}")
        most, rows = entry["losses"][PLAIN]["peak_memory_bytes"], []
        for name, found in entry["losses"].items():
            held = found["peak_memory_bytes"]
            shown = (f"{1000 * found['seconds']:,.1f}", f"{held / 2**20:,.1f}", f"{held / most:.3f}")
            rows.append([Cell(text) for text in (*named, TITLES[name], *shown, f"{found['value']:.6f}")])
            records.append({"method": entry["method"], "positions": entry["positions"], "loss": name, **found})
        for name, reason in entry["missing"].items():
            rows.append([*map(Cell, (*named, TITLES[name])), Cell(ABSENT, span=4)])
            notes.append(f"{TITLES[name]}: {ABSENT}, as {reason}.")
        sections.append(rows)
    said = f"vocabulary {sizes['vocabulary']:,}, width {sizes['width']}, {sizes['repeats']} repeats, {where['name']}"
    explained = (
        "From last hidden states to their gradient and the output layer's. Medians. MiB: what is held at most beyond "
        f"hidden states and output layers, the gradients included, by {PEAK[where['device']]}."
    )
    return Table(f"The loss alone: {said}.", columns, sections, records, [explained, *dict.fromkeys(notes)])
