"""The table of what models cost in use, as Tables 6 and 7 of Shleifer and Rush 2020, and by CTranslate2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from fdistill.evaluation.deployment import RUNTIMES, main_metric, read_deployments
from fdistill.evaluation.tables.frame import Section
from fdistill.evaluation.tables.numbers import MISSING, NONE, plain, signed
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.runtime.errors import UserError

MB = 1e6
BUSY = 0.1  # CPUs used by other programs; less is the system itself
HEADINGS = (
    *("Model", "Runtime", "Parameters, M", "Without embeddings, M", "Weights, MB", "Latency, ms", "Speed-up"),
    *("Inputs/s", "Speed-up in batches", "Memory, MB", "Score", "Less the study's"),
)
CAPTION = (
    "What models cost in use. Latency: of one input, the median and in brackets the quartiles. Inputs/s: in batches, "
    "the median. Speed-up: the median ratio of the teacher's time by transformers to this one, of the same inputs, "
    "measured in turn; compare models by it, as their times come from different jobs. That of the teacher itself by "
    "transformers is 1 but for chance, and says how exact the others are. "
    "Less the study's: the score less that of the study's outputs, by transformers, with the 95 % interval over inputs."
)
SPREADS = ("latency_ms", "inputs_per_s", "tokens_per_s")


def deployment_table(paths: list[Path], tasks: dict[str, str], layout: list[Section]) -> Table:
    """Build the table from deployment.json files, with a row for each task, system and runtime.

    `tasks` and `layout` are as in `main_table`. CSV has one record per row and metric, with quartiles and intervals.
    Raises UserError as `read_deployments` does, and for a row without a file.
    """
    files = read_deployments(paths)
    systems = {key: title for section in layout for key, title in section.systems.items()}
    for system in systems:
        if not any(of == system for _, of in files):
            raise UserError(f"'{system}' has a row in the table, but no deployment.json; give it, or leave the row out")
    sections, records, notes = [], [], []
    for task, title in tasks.items():
        of_task = [(system, files[task, system]) for system in systems if (task, system) in files]
        if not of_task:
            raise UserError(f"no deployment.json of task '{task}'; give one")
        metric = main_metric(file for _, file in of_task)
        for system, file in of_task:
            names = [title] if len(tasks) > 1 else []
            sections.append([[*names, *row] for row in _rows(systems[system], file, metric)])
            records += _records(task, system, file)
        notes += _notes(title, dict(of_task), systems, metric)
    names = ["Task"] if len(tasks) > 1 else []
    cells = cells_of([*names, *HEADINGS], sections)
    return Table(
        title="Deployment",
        caption=CAPTION,
        cells=cells,
        names=len(names) + 2,
        records=pd.DataFrame(records),
        notes=notes,
    )


def _rows(title: str, file: dict[str, Any], metric: str | None) -> Iterator[list[str]]:
    """The rows of a system, one for each runtime, with its score by `metric`."""
    sizes = [f"{file['parameters'][key] / 1e6:,.2f}" for key in ("all", "without_embeddings")]
    for key, runtime in RUNTIMES.items():
        found = file["runtimes"][key]
        if "missing" in found:
            yield [title, runtime, *sizes, *[MISSING] * (len(HEADINGS) - 4)]
            continue
        latency, score = found["latency_ms"], found["scores"].get(metric)
        yield [
            *(title, runtime, *sizes, f"{found['weights_bytes'] / MB:,.1f}"),
            f"{latency['median']:,.1f} ({latency['q1']:,.1f}–{latency['q3']:,.1f})",
            f"{found['speedup']['latency']['median']:.2f}",
            f"{found['inputs_per_s']['median']:,.1f}",
            f"{found['speedup']['throughput']['median']:.2f}",
            f"{found['memory']['bytes'] / MB:,.0f}",
            MISSING if score is None or score["value"] is None else plain(score["value"]),
            NONE if score is None else _difference(score),
        ]


def _difference(score: dict[str, Any]) -> str:
    if score["difference"] is None:
        return NONE
    low, high = score["difference"]["interval"]
    return f"{signed(score['difference']['value'])} ({signed(low)} to {signed(high)})"


def _records(task: str, system: str, file: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the CSV file."""
    machine = file["machine"]
    for key in RUNTIMES:
        found = file["runtimes"][key]
        place = {"task": task, "system": system, "seed": file["seed"], "runtime": key}
        place |= {f"parameters_{name}": count for name, count in file["parameters"].items()}
        place |= {"machine": machine["name"], "threads": machine["threads"]}
        if "missing" in found:
            yield place | {f"missing_{name}": text for name, text in found["missing"].items()}
            continue
        place |= {"weights_bytes": found["weights_bytes"], "memory_bytes": found["memory"]["bytes"]}
        place |= {f"{name}_{part}": value for name in SPREADS for part, value in found[name].items()}
        place |= {
            f"speedup_{name}_{part}": value for name, parts in found["speedup"].items() for part, value in parts.items()
        }
        for metric, score in found["scores"].items():
            low, high = score["interval"] or (None, None)
            yield (
                place
                | {"metric": metric, "value": score["value"], "low": low, "high": high}
                | {
                    f"difference{suffix}": value
                    for suffix, value in zip(("", "_low", "_high"), _parts(score), strict=True)
                }
            )


def _parts(score: dict[str, Any]) -> list[float | None]:
    found = score["difference"]
    return [None] * 3 if found is None else [found["value"], *found["interval"]]


def _notes(title: str, files: dict[str, dict[str, Any]], systems: dict[str, str], metric: str | None) -> Iterator[str]:
    """How a task's models were measured, and what is missing."""
    first = next(iter(files.values()))
    conditions, machine = first["conditions"], first["machine"]
    entries = [found for file in files.values() for found in file["runtimes"].values() if "missing" not in found]
    lengths = [found["output_tokens"] for found in entries]
    outputs = f"outputs of {min(lengths):.1f} to {max(lengths):.1f} tokens on average" if lengths else "no outputs"
    scores = [found["scores"][metric] for found in entries if metric in found["scores"]]
    name = f" Score: {scores[0]['title']} ({scores[0]['direction']} is better) on the test split." if scores else ""
    yield (
        f"{title}: {conditions['latency_inputs']} inputs one at a time and {conditions['batches']} batches of "
        f"{conditions['batch_size']}, chosen at random from {conditions['test_inputs']:,} test inputs, on "
        f"{machine['name']}; {outputs}, decoded with {_settings(first['decoding'])}.{name}"
    )
    yield from (f"{title}, memory: {text}." for text in dict.fromkeys(found["memory"]["measure"] for found in entries))
    times = [file["reference"]["latency_ms"]["median"] for file in files.values()]
    if first["reference"].get("is_teacher", True):
        yield f"{title}: the teacher by transformers took {min(times):,.1f} to {max(times):,.1f} ms in these jobs."
    else:
        yield f"{title}: the teacher is no model here; speed-ups are over each student itself by transformers."
    used = [file["other_cpus"] for file in files.values()]
    if None not in used and max(used) >= BUSY:
        yield f"{title}: other programs used up to {max(used):.1f} CPUs meanwhile, which made times longer."
    for text in dict.fromkeys(text for found in entries for text in found.get("differs", [])):
        yield f"{title}, CTranslate2 decodes otherwise: {text}. Its scores are of its own outputs."
    for system, file in files.items():
        reasons = [_missing(found, metric) for found in file["runtimes"].values()]
        for reason in dict.fromkeys((one["reason"], one["fix"]) for one in reasons if one):
            yield f"{title}, {systems[system]}, n/a: {reason[0]}. Remedy: {reason[1]}."


def _missing(found: dict[str, Any], metric: str | None) -> dict[str, str] | None:
    """Why a runtime could not run, or its outputs have no score by `metric`."""
    return found["missing"] if "missing" in found else found["scores"].get(metric, {}).get("missing")


def _settings(decoding: dict[str, Any]) -> str:
    shown = {key: value for key, value in decoding.items() if key in ("num_beams", "max_new_tokens") or value}
    return ", ".join(f"{key} {value}" for key, value in shown.items() if key != "top_p" or decoding.get("do_sample"))
