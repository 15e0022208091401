"""The table of example outputs (Wen et al. 2023, Table 7)."""

import random
from pathlib import Path

import pandas as pd

from fdistill.artifacts.lineage import common_lineage
from fdistill.evaluation.outputs import read_outputs
from fdistill.evaluation.tables.table import Table, cells_of
from fdistill.runtime.errors import UserError

MAX_CHARACTERS = 400  # of a text in a printed table; the CSV file has it whole


def examples_table(
    tests: dict[str, Path],
    generations: dict[tuple[str, str], Path],
    tasks: dict[str, str],
    systems: dict[str, str],
    *,
    count: int,
    seed: int,
) -> Table:
    """Build the table of `count` test inputs per task, sampled by `seed`: source, first reference, systems' outputs.

    `tests` maps a task to its test split, `generations` a (task, system) to its outputs; `tasks` and `systems` map keys
    to titles, in order. CSV has one record per text, whose `role` is source, reference or a system's key. Raises
    UserError for an unknown task or system, and for outputs that belong to another split.
    """
    for task, system in generations:
        if task not in tests or system not in systems:
            raise UserError(f"generations of '{task}/{system}': unknown task or system; give it a title")
    rows, records = [], []
    for task, title in tasks.items():
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
            texts = {"source": split.sources[i], "reference": split.references[i][0]}
            texts |= {system: outputs.hypotheses[i] for system, outputs in chosen.items()}
            titles = {"source": "Input", "reference": "Reference", **systems}
            rows.append(
                [[title if role == "source" else "", titles[role], _shorten(text)] for role, text in texts.items()]
            )
            records += [{"task": task, "id": split.ids[i], "role": role, "text": text} for role, text in texts.items()]
    return Table(
        title="Example outputs",
        caption="Example outputs on test inputs that were sampled with a fixed seed.",
        cells=cells_of(["Task", "System", "Text"], rows),
        names=3,
        widths={"Text": 0.65},
        records=pd.DataFrame(records, dtype=object),
    )


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1].rstrip() + "…"
