"""The benchmark's results as tables."""

import statistics
from typing import Any

from fdistill.bench import offline
from fdistill.bench.clock import PEAK
from fdistill.bench.encoders import KD, TWICE
from fdistill.bench.losses import LIGER
from fdistill.bench.steps import CACHED, ON_POLICY, OURS, PLAIN, TRL
from fdistill.bench.workload import FULL
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS
from fdistill.training.step_parts import PARTS

TITLES = {OURS: "this project", PLAIN: "plain recipe", TRL: "TRL", LIGER: "Liger"}
TITLES |= {name: f"{TITLES[OURS]}, {kind}" for kind, name in CACHED.items()}
TITLES[TWICE] = f"{TITLES[OURS]}, encoder in both models"
METHODS = {"js": "JS", "tvd": "TVD", ON_POLICY: "JS on student samples", KD: "KD, frozen encoder"}
WAYS = {offline.PLAIN: "plain loop", TRANSFORMERS: "transformers", CTRANSLATE2: "CTranslate2"}
ABSENT = "n/a"


def step_table(measured: list[dict[str, Any]], what: str, where: dict[str, Any]) -> Table:
    """Return the table of results of `steps.compare`, each with its `method` and `lengths`.

    `what` describes the sizes, and `where` is the machine, as in the other tables.
    """
    headings = ["Texts", "Method", "Step", "whole, ms", *(f"{part}, ms" for part in PARTS)]
    headings += ["tokens/s", "MiB", "times ours"]
    sections, notes = [], []
    for entry in measured:
        labels = (entry["lengths"], METHODS[entry["method"]])
        rows = []
        for name, step in entry["steps"].items():
            times = [step["seconds"]["median"], *(step["parts"][part] for part in PARTS)]
            ratio, mebibytes = step["times_ours"], step["peak_memory_bytes"] / 2**20
            numbers = [f"{1000 * seconds:,.1f}" for seconds in times]
            numbers += [f"{step['tokens_per_second']:,.0f}", f"{mebibytes:,.1f}", f"{ratio['median']:.2f}"]
            rows.append([*labels, TITLES[name], *numbers])
        for name, reason in entry["missing"].items():
            rows.append([*labels, TITLES[name], *[ABSENT] * (len(headings) - 3)])
            notes.append(f"{TITLES[name]}: {ABSENT}, as {reason}.")
        sections.append(rows)
        losses = ", ".join(f"{TITLES[name]} {value:.6f}" for name, value in entry["losses"].items())
        notes.append(f"Losses on the same samples, {labels[0]} texts, {labels[1]}: {losses}.")
        if entry["caches"]:
            costs = (
                f"{TITLES[name]} {cost['bytes_per_token']:,.0f} bytes per token of the teacher's samples, "
                f"written once, in {1000 * cost['seconds_per_batch']:,.1f} ms per batch"
                for name, cost in entry["caches"].items()
            )
            notes.append(f"Cost of the teacher cache, {labels[0]} texts, {labels[1]}: {'; '.join(costs)}.")
        if "encoder_bytes" in entry:
            freed = f"{entry['encoder_bytes'] / 2**20:,.1f} MiB of weights"
            notes.append(
                f"{METHODS[KD]}: the teacher's whole encoder, which the student copies, in memory once: {freed}."
            )
        if TRL in entry["losses"] and entry["lengths"] != FULL:
            notes.append("TRL counts padding among GPT-2's positions: its loss differs where sources are padded.")
    explanation = (
        "Medians. Parts are timed in separate steps; the optimiser and the making of the batch are in none of them, "
        "only in the whole. Tokens are those of targets and samples. MiB: a step's peak memory beyond weights and "
        f"optimiser state, by {PEAK[where['device']]}. times ours: the median of the repeats' ratios."
    )
    if any(entry["caches"] for entry in measured):
        explanation += (
            f" {STATES} and {TOPK}: the teacher's distributions on its own samples are read from teacher_cache; the "
            f"loss with {TOPK} is a lower bound."
        )
    return Table(
        caption=f"A step of distillation: {what}, {where['name']}.",
        cells=cells_of(headings, sections),
        names=3,
        notes=[explanation, load(where), *dict.fromkeys(notes)],
    )


def load(where: dict[str, Any]) -> str:
    """Return a note on the machine's load: other programs make the measured times longer."""
    return f"Load of the machine, other programs included: {where['load']:.1f} on {where['cpus']} CPUs."


def loss_table(measured: list[dict[str, Any]], sizes: dict[str, int], where: dict[str, Any]) -> Table:
    """Return the table of results of `losses.compare`, each with its `method` and `positions`."""
    headings = ["Method", "Positions", "Loss", "ms", "MiB", "of plain's", "value"]
    sections, notes = [], []
    for entry in measured:
        labels = (METHODS[entry["method"]], f"{entry['positions']:,}")
        plain_peak, rows = entry["losses"][PLAIN]["peak_memory_bytes"], []
        for name, loss in entry["losses"].items():
            peak = loss["peak_memory_bytes"]
            numbers = (f"{1000 * loss['seconds']:,.1f}", f"{peak / 2**20:,.1f}", f"{peak / plain_peak:.3f}")
            rows.append([*labels, TITLES[name], *numbers, f"{loss['value']:.6f}"])
        for name, reason in entry["missing"].items():
            rows.append([*labels, TITLES[name], *[ABSENT] * 4])
            notes.append(f"{TITLES[name]}: {ABSENT}, as {reason}.")
        sections.append(rows)
    setting = f"vocabulary {sizes['vocabulary']:,}, width {sizes['width']}, {sizes['repeats']} repeats, {where['name']}"
    explanation = (
        "From last hidden states to the gradients of these and of the output layer. Medians. MiB: peak memory beyond "
        f"hidden states and output layers, gradients included, by {PEAK[where['device']]}."
    )
    caption = f"The loss alone: {setting}."
    notes = [explanation, load(where), *dict.fromkeys(notes)]
    return Table(caption, cells_of(headings, sections), names=3, notes=notes)


def offline_table(compared: dict[str, Any], what: str, where: dict[str, Any]) -> Table:
    """Return the table of the result of `offline.compare`."""
    headings = ["Sampling", "By", "tokens/s", "times plain's", "tokens per input"]
    sections, notes = [], []
    for mode, measured in compared["modes"].items():
        rows = []
        for way, result in measured["ways"].items():
            length = statistics.mean(result["tokens"]) / compared["inputs"]
            numbers = (f"{result['tokens_per_s']:,.0f}", f"{result['ratio']:.2f}", f"{length:.1f}")
            rows.append([mode, WAYS[way], *numbers])
        for way, reason in measured["missing"].items():
            rows.append([mode, WAYS[way], *[ABSENT] * 3])
            notes.append(f"{WAYS[way]}: {ABSENT}, as {reason}.")
        sections.append(rows)
    explanation = (
        f"Medians. The plain loop is transformers' generate on batches of {offline.PLAIN_BATCH}, in the inputs' order; "
        "the engines run as in rule sample_teacher, on batches of similar lengths and with log-probabilities. The "
        "teacher's weights are random, and its contexts decide where sequences end: the last column shows their mean "
        "length."
    )
    caption = f"Offline sampling: {what}, {where['name']}."
    notes = [explanation, load(where), *dict.fromkeys(notes)]
    return Table(caption, cells_of(headings, sections), names=2, notes=notes)


def grown_steps_table(measured: list[dict[str, Any]], task: str, where: dict[str, Any]) -> Table:
    """Return the table of the result of `growth.grown_steps`."""
    headings = ["Grows", "To", *(f"{title} {unit}" for unit in ("ms", "MiB") for title in (OURS, PLAIN))]
    headings += ["plain / ours"]
    sections: dict[str, list[list[str]]] = {}
    for entry in measured:
        ours, plain = (entry["steps"][name] for name in (OURS, PLAIN))
        numbers = [f"{1000 * step['seconds']['median']:,.1f}" for step in (ours, plain)]
        numbers += [f"{step['peak_memory_bytes'] / 2**20:,.1f}" for step in (ours, plain)]
        numbers += [f"{plain['times_ours']['median']:.2f}"]
        sections.setdefault(entry["what"], []).append([entry["what"], f"{entry['size']:,}", *numbers])
    caption = f"A JS step as its sizes grow, in the shapes of {task}, full texts: {where['name']}."
    return Table(caption, cells_of(headings, [*sections.values()]), notes=[load(where)])


def costs_table(costs: dict[str, dict[str, float]], where: dict[str, Any]) -> Table:
    """Return the table of the results of `costs.stage_costs`, by task."""
    headings = ["Stage", *(f"{task}, ms per example" for task in costs)]
    stages = dict.fromkeys(stage for by_stage in costs.values() for stage in by_stage)
    rows = [[stage, *(f"{1000 * costs[task][stage]:,.2f}" for task in costs)] for stage in stages]
    note = "Training: per epoch. Texts and samples have lengths as in text."
    return Table(f"The cost of the stages: {where['name']}.", cells_of(headings, [rows]), notes=[note])


def plan_table(planned: dict[str, Any], where: dict[str, Any]) -> Table:
    """Return the table of the result of `study.plan`."""
    tasks = list(planned["counts"])
    headings = ["Stage", *(f"{task}, hours" for task in tasks), "all, hours", "%"]
    total = sum(sum(by_task.values()) for by_task in planned["stages"].values())
    rows = []
    for stage, by_task in planned["stages"].items():
        row_seconds = [*(by_task[task] for task in tasks), sum(by_task.values())]
        hours = [f"{seconds / 3600:,.3f}" for seconds in row_seconds]
        rows.append([stage, *hours, f"{100 * row_seconds[-1] / total:.1f}"])
    task_seconds = [sum(by_task[task] for by_task in planned["stages"].values()) for task in tasks]
    last_row = ["all", *(f"{seconds / 3600:,.3f}" for seconds in (*task_seconds, total)), "100.0"]
    on_devices = [f"{count}: {seconds / 3600:,.3f}" for count, seconds in planned["seconds"].items()]
    sizes = [f"{task} {counts['train']:,} and {counts['test']:,}" for task, counts in planned["counts"].items()]
    notes = [
        f"Training and test examples: {', '.join(sizes)}; seeds: {planned['seeds']}. {_SIMULATED}",
        f"Hours until all jobs are finished, by the number of devices: {', '.join(on_devices)}; with unlimited "
        f"devices, {planned['longest_chain'] / 3600:,.3f}.",
    ]
    caption = f"The cost of this study, in hours of one device: {where['name']}."
    return Table(caption, cells_of(headings, [rows, [last_row]]), notes=notes)


_SIMULATED = (
    "By simulation, not measured: the stages' costs above times examples and epochs, and the jobs of the DAG "
    "scheduled on the devices, longest chain first. Not included: starting programs, loading models, evaluations "
    "during training, and stages without a model."
)


def study_table(study: list[dict[str, Any]], where: dict[str, Any]) -> Table:
    """Return the table of the result of `study.study_costs`."""
    counts = study[0]["seconds"]
    names = [f"{count} device{'s' * (count != '1')}" for count in counts]
    headings = ["Examples", "Seeds", "Jobs", *(f"{title}, hours" for title in (*names, "longest chain"))]
    sections: dict[int, list[list[str]]] = {}
    for entry in study:
        hours = [seconds / 3600 for seconds in (*entry["seconds"].values(), entry["longest_chain"])]
        row = [f"{entry[key]:,}" for key in ("examples", "seeds", "jobs")] + [f"{value:,.2f}" for value in hours]
        sections.setdefault(entry["examples"], []).append(row)
    note = f"{_SIMULATED} Examples are the training examples of each task, which has a tenth as many test inputs."
    cells = cells_of(headings, [*sections.values()])
    return Table(f"The cost of the study as it grows: {where['name']}.", cells, names=0, notes=[note])
