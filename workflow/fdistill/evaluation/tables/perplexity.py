"""The table of perplexities: what copying layers takes away from a teacher, and what each method gives back."""

from collections.abc import Iterator
from math import exp
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from fdistill.artifacts.files import read_json
from fdistill.artifacts.shapes import Shape
from fdistill.artifacts.systems import INIT_STUDENT, of_size, split_size
from fdistill.evaluation.comparisons import TEACHER
from fdistill.evaluation.tables.numbers import FINE, NONE, plain
from fdistill.evaluation.tables.table import Table, cells_of

PERPLEXITY_FILE: Shape = {
    "task": str,
    "method": str,
    "tokenizer": str,
    "references": int,
    "tokens": int,
    "nll": float,
    "perplexity": float,
    "lineage": {...: str},
}
HEADINGS = ("Model", "NLL per token", "Perplexity", "Recovered, %")
CAPTION = (
    "Perplexity on the references of the test split. NLL per token: the mean of −log q(token | the source and the "
    "tokens before) over all tokens of all references, EOS included, in nats; of several seeds the mean. Perplexity is "
    "its exponential. Recovered: the part of the distance in NLL between the student as initialised and the teacher "
    "that training makes up for, if the teacher is the better of the two. Lower is better, but for the last column."
)


def perplexity_table(paths: list[Path], tasks: dict[str, str], systems: dict[str, str]) -> Table:
    """Build the table from perplexity.json files, one per model; `tasks` and `systems` are titles, in the rows' order.

    CSV has one record per model, with its seed. Raises UserError for a file of another shape.
    """
    files = [read_json(path, PERPLEXITY_FILE) for path in paths]
    sections, notes = [], []
    for task, title in tasks.items():
        of_task = [file for file in files if file["task"] == task]
        names = [title] if len(tasks) > 1 else []
        found = {system: [file for file in of_task if file["method"] == system] for system in systems}
        sections.append([[*names, *row] for row in _rows(systems, {key: of for key, of in found.items() if of})])
        notes += _notes(title, of_task)
    names = ["Task"] if len(tasks) > 1 else []
    cells = cells_of([*names, *HEADINGS], sections)
    records = pd.DataFrame([_record(file) for file in files])
    return Table(CAPTION, cells, names=len(names) + 1, records=records, notes=notes, title="Perplexity")


def _rows(systems: dict[str, str], found: dict[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    means = {system: fmean(file["nll"] for file in of_system) for system, of_system in found.items()}
    tokenizers = {system: of_system[0]["tokenizer"] for system, of_system in found.items()}
    for system, nll in means.items():
        initial, recovered = of_size(INIT_STUDENT, split_size(system)[1]), NONE
        comparable = {TEACHER, initial} <= means.keys() and tokenizers[TEACHER] == tokenizers[system]
        if system not in (TEACHER, initial) and comparable and means[initial] > means[TEACHER]:
            share = (means[initial] - nll) / (means[initial] - means[TEACHER])
            recovered = plain(100 * share, ".1f")
        yield [systems[system], plain(nll, FINE), plain(exp(nll), ",.2f"), recovered]


def _notes(title: str, files: list[dict[str, Any]]) -> Iterator[str]:
    counts = dict.fromkeys(file["tokens"] for file in files)
    yield f"{title}: {files[0]['references']:,} references, {' or '.join(f'{count:,}' for count in counts)} tokens."
    if len({file["tokenizer"] for file in files}) > 1:
        yield f"{title}: the models have different tokens; compare only those with equal numbers of them."


def _record(file: dict[str, Any]) -> dict[str, Any]:
    seed = file["lineage"].get("seed")
    place = {"task": file["task"], "system": file["method"], "seed": seed}
    return place | {key: file[key] for key in ("references", "tokens", "nll", "perplexity")}
