"""The table of example outputs (Wen et al. 2023, Table 7)."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.outputs import read_outputs
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.runtime.errors import UserError

SEED = 0  # of the choice of examples, unless another is given
MAX_CHARACTERS = 400  # of a text in a printed table; the CSV file has it whole


@dataclass(frozen=True)
class Example:
    """A test input of a task, its first reference, and the output of each system."""

    task: str
    id: str
    source: str
    reference: str
    outputs: dict[str, str]


def sample_examples(
    tests: dict[str, Path],
    generations: dict[tuple[str, str], Path],
    tasks: Iterable[str],
    systems: Iterable[str],
    *,
    count: int,
    seed: int,
) -> list[Example]:
    """Return `count` test inputs per task, sampled by `seed`, with the systems' outputs.

    `tests` maps a task to its test split, `generations` a (task, system) to its outputs; `tasks` and `systems` are in
    the order of the result. Raises UserError for an unknown task or system, and for outputs that belong to another
    split.
    """
    for task, system in generations:
        if task not in tests or system not in systems:
            raise UserError(f"generations of '{task}/{system}': unknown task or system; give it a title")
    examples = []
    for task in tasks:
        chosen = {
            system: read_outputs(tests[task], generations[task, system])
            for system in systems
            if (task, system) in generations
        }
        if not chosen:
            continue
        common_lineage(*(generations[task, system] for system in chosen), seeds_differ=True)
        split = next(iter(chosen.values()))
        # The seed includes the task, so that its examples do not depend on which other tasks are shown.
        picks = random.Random(f"{seed} {task}").sample(range(len(split.ids)), min(count, len(split.ids)))
        for i in sorted(picks):
            outputs = {system: system_outputs.hypotheses[i] for system, system_outputs in chosen.items()}
            examples.append(Example(task, split.ids[i], split.sources[i], split.references[i][0], outputs))
    return examples


def examples_table(
    tests: dict[str, Path],
    generations: dict[tuple[str, str], Path],
    tasks: dict[str, str],
    systems: dict[str, str],
    *,
    count: int,
    seed: int,
) -> Table:
    """Build the table of sampled test inputs: source, first reference, systems' outputs.

    Arguments and errors as for `sample_examples`; `tasks` and `systems` map keys to titles. CSV has one record per
    text, whose `role` is source, reference or a system's key.
    """
    rows, records = [], []
    titles = {"source": "Input", "reference": "Reference", **systems}
    for example in sample_examples(tests, generations, tasks, systems, count=count, seed=seed):
        texts = {"source": example.source, "reference": example.reference, **example.outputs}
        rows.append(
            [
                [tasks[example.task] if role == "source" else "", titles[role], shorten(text)]
                for role, text in texts.items()
            ]
        )
        records += [
            {"task": example.task, "id": example.id, "role": role, "text": text} for role, text in texts.items()
        ]
    return Table(
        title="Example outputs",
        caption="Example outputs on test inputs that were sampled with a fixed seed.",
        cells=cells_of(["Task", "System", "Text"], rows),
        names=3,
        widths={"Text": 0.65},
        records=pd.DataFrame(records, dtype=object),
    )


def shorten(text: str) -> str:
    """Return the text, cut after MAX_CHARACTERS."""
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1].rstrip() + "…"
