"""What was measured, as tables."""

import statistics
from typing import Any

from fdistill.bench import offline
from fdistill.bench.clock import PEAK
from fdistill.bench.losses import LIGER
from fdistill.bench.steps import CACHED, ON_POLICY, OURS, PLAIN, TRL
from fdistill.bench.work import FULL
from fdistill.evaluation.tables.render import Cell, Column, Table
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS
from fdistill.sampling.teacher_cache import STATES, TOPK
from fdistill.training.step_parts import PARTS

TITLES = {OURS: "this project", PLAIN: "plain recipe", TRL: "TRL", LIGER: "Liger"}
TITLES |= {name: f"{TITLES[OURS]}, {kind}" for kind, name in CACHED.items()}
METHODS = {"js": "JS", "tvd": "TVD", ON_POLICY: "JS on student samples"}
WAYS = {offline.PLAIN: "plain loop", TRANSFORMERS: "transformers", CTRANSLATE2: "CTranslate2"}
ABSENT = "n/a"


def step_table(measured: list[dict[str, Any]], what: str, where: dict[str, Any]) -> Table:
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
        if entry["caches"]:
            costs = (
                f"{TITLES[name]} {cost['bytes_per_token']:,.0f} bytes per token of the teacher's samples, "
                f"made once, in {1000 * cost['seconds_per_batch']:,.1f} ms per batch"
                for name, cost in entry["caches"].items()
            )
            notes.append(f"What is stored, {named[0]} texts, {named[1]}: {'; '.join(costs)}.")
        if TRL in entry["losses"] and entry["lengths"] != FULL:
            notes.append("TRL's loss counts padding among GPT-2's positions: it differs where sources are padded.")
    explained = (
        "Medians. Parts are timed in steps of their own, and what is in none of them (the optimiser, the batch) is in "
        "the whole alone. Tokens are those of targets and samples. MiB: what a step needs at most beyond weights and "
        f"optimiser state, by {PEAK[where['device']]}. times ours: the median of the repeats' ratios."
    )
    if any(entry["caches"] for entry in measured):
        explained += (
            f" {STATES} and {TOPK}: with the teacher's distributions on its own samples read from teacher_cache; the "
            f"loss with {TOPK} is a lower bound."
        )
    return Table(
        caption=f"A step of distillation: {what}, {where['name']}.",
        columns=columns,
        sections=sections,
        records=records,
        notes=[explained, load(where), *dict.fromkeys(notes)],
    )


def load(where: dict[str, Any]) -> str:
    """Whether other programs ran beside: what they do to times."""
    return f"Load of the machine, other programs included: {where['load']:.1f} on {where['cpus']} CPUs."


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
    return Table(
        f"The loss alone: {said}.", columns, sections, records, [explained, load(where), *dict.fromkeys(notes)]
    )


def offline_table(found: dict[str, Any], what: str, where: dict[str, Any]) -> Table:
    """Of `offline.compare`; `what` names the sizes."""
    columns = [Column("Drawing"), Column("By")]
    columns += [Column(title, number=True) for title in ("tokens/s", "times plain's", "tokens per input")]
    sections, records, notes = [], [], []
    for mode, measured in found["modes"].items():
        rows = []
        for way, one in measured["ways"].items():
            length = statistics.mean(one["tokens"]) / found["inputs"]
            shown = (f"{one['tokens_per_s']:,.0f}", f"{one['ratio']:.2f}", f"{length:.1f}")
            rows.append([Cell(text) for text in (mode, WAYS[way], *shown)])
            records.append({"mode": mode, "way": way, **one})
        for way, reason in measured["missing"].items():
            rows.append([Cell(mode), Cell(WAYS[way]), Cell(ABSENT, span=3)])
            notes.append(f"{WAYS[way]}: {ABSENT}, as {reason}.")
        sections.append(rows)
    explained = (
        f"Medians. The plain loop is transformers' generate on batches of {offline.PLAIN_BATCH}, as they come; the "
        "others do the work of rule sample_teacher: batches of about equal lengths, and log-probabilities, too. "
        "The teacher's weights are random, and contexts decide where its sequences end: the last column says how long "
        "they are."
    )
    caption = f"Drawing off line: {what}, {where['name']}."
    return Table(caption, columns, sections, records, [explained, load(where), *dict.fromkeys(notes)])


def grown_steps_table(measured: list[dict[str, Any]], task: str, where: dict[str, Any]) -> Table:
    """Of `growth.grown_steps`."""
    columns = [Column("Grows"), Column("To", number=True)]
    columns += [Column(f"{title} {unit}", number=True) for unit in ("ms", "MiB") for title in (OURS, PLAIN)]
    columns += [Column("plain / ours", number=True)]
    sections: dict[str, list[list[Cell]]] = {}
    for entry in measured:
        both = [entry["steps"][name] for name in (OURS, PLAIN)]
        shown = [f"{1000 * found['seconds']['median']:,.1f}" for found in both]
        shown += [f"{found['peak_memory_bytes'] / 2**20:,.1f}" for found in both]
        shown += [f"{both[1]['times_ours']['median']:.2f}"]
        row = [Cell(text) for text in (entry["what"], f"{entry['size']:,}", *shown)]
        sections.setdefault(entry["what"], []).append(row)
    caption = f"A JS step as its sizes grow, in the shapes of {task}, full texts: {where['name']}."
    return Table(caption, columns, [*sections.values()], [], [load(where)])


def costs_table(costs: dict[str, dict[str, float]], where: dict[str, Any]) -> Table:
    """Of `costs.stage_costs`, by task."""
    columns = [Column("Stage"), *(Column(task, "ms per example", number=True) for task in costs)]
    stages = dict.fromkeys(stage for of_task in costs.values() for stage in of_task)
    rows = [[Cell(stage), *(Cell(f"{1000 * costs[task][stage]:,.2f}") for task in costs)] for stage in stages]
    note = "Training: of one epoch. Texts and samples have lengths as in text."
    return Table(f"What the stages cost: {where['name']}.", columns, [rows], [], [note])


def plan_table(planned: dict[str, Any], where: dict[str, Any]) -> Table:
    """Of `study.plan`."""
    tasks = list(planned["counts"])
    columns = [Column("Stage"), *(Column(task, "hours", number=True) for task in tasks)]
    columns += [Column("all", "hours", number=True), Column(" ", "%", number=True)]
    whole = sum(sum(of_task.values()) for of_task in planned["stages"].values())
    rows = []
    for stage, of_task in planned["stages"].items():
        seconds = [*(of_task[task] for task in tasks), sum(of_task.values())]
        hours = [f"{each / 3600:,.3f}" for each in seconds]
        rows.append([Cell(text) for text in (stage, *hours, f"{100 * seconds[-1] / whole:.1f}")])
    sums = [sum(of_task[task] for of_task in planned["stages"].values()) for task in tasks]
    shown = ["all", *(f"{each / 3600:,.3f}" for each in (*sums, whole)), "100.0"]
    on_devices = [f"{count}: {seconds / 3600:,.3f}" for count, seconds in planned["seconds"].items()]
    sizes = [f"{task} {of['train']:,} and {of['test']:,}" for task, of in planned["counts"].items()]
    notes = [
        f"Training and test examples: {', '.join(sizes)}; seeds: {planned['seeds']}. {_SIMULATED}",
        f"Hours until all is done, by the number of devices: {', '.join(on_devices)}; on any number, "
        f"{planned['longest_chain'] / 3600:,.3f}.",
    ]
    caption = f"What this study costs, in hours of one device: {where['name']}."
    return Table(caption, columns, [rows, [[Cell(text) for text in shown]]], [], notes)


_SIMULATED = (
    "By simulation, not measured: the stages' costs above times examples and epochs, and the jobs of the DAG on as "
    "many devices, longest chain first. Left out: starting programs, reading models, evaluation amid training, and "
    "what needs no model."
)


def study_table(study: list[dict[str, Any]], where: dict[str, Any]) -> Table:
    """Of `study.study_costs`."""
    counts = study[0]["seconds"]
    names = [f"{count} device{'s' * (count != '1')}" for count in counts]
    columns = [Column(title, number=True) for title in ("Examples", "Seeds", "Jobs")]
    columns += [Column(title, "hours", number=True) for title in (*names, "longest chain")]
    sections: dict[int, list[list[Cell]]] = {}
    for entry in study:
        hours = [seconds / 3600 for seconds in (*entry["seconds"].values(), entry["longest_chain"])]
        shown = [f"{entry[key]:,}" for key in ("examples", "seeds", "jobs")] + [f"{value:,.2f}" for value in hours]
        sections.setdefault(entry["examples"], []).append([Cell(text) for text in shown])
    note = f"{_SIMULATED} Each task has so many training examples and a tenth as many test inputs."
    return Table(f"What the study costs as it grows: {where['name']}.", columns, [*sections.values()], [], [note])
