"""What models cost in use, and how good they are (Tables 6 and 7)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdistill.artifacts.systems import split_size
from fdistill.evaluation.comparisons import TEACHER
from fdistill.evaluation.deployment import FULL, inverse, read_deployments
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.tables.results import MARGIN
from fdistill.evaluation.tables.shleifer_rush.grid import Column, Number, Row, grid
from fdistill.evaluation.tables.shleifer_rush.scores import Folders, Printed, Scores, printed, read_scores
from fdistill.evaluation.tables.table import Table
from fdistill.runtime.errors import UserError

NAMES = ["Task and metric", "Model", "Layers"]
COLUMNS = [
    Column("parameters", "Parameters, M", form=",.2f"),
    Column("time", "Time, ms", form=",.1f", comparable=False),
    Column("speedup", "Speed-up"),
    Column("score", "Score"),
]
CAPTION = (
    "Size, time and quality of each model, the fastest first. Time: of one example in batches, the median, "
    "by transformers. Speed-up: the median ratio of the teacher's time to this one, of the same inputs, measured in "
    "turn; compare models by it, as their times come from different jobs. Time and speed-up are of the first seed, "
    "scores are means over seeds. "
)
BEST = (
    "The paper's numbers are of the best student of a size, whatever its method, timed on a GPU in batches of 32; no "
    "difference of times is given, as the machines differ."
)


def speeds_table(
    metrics: Sequence[Path],
    deployments: Sequence[Path],
    folders: Mapping[str, Folders],
    tasks: Mapping[str, str],
    systems: Mapping[str, str],
    paper: PublishedTable | None = None,
) -> Table:
    """Build Tables 6 and 7 from `metrics.json` and `deployment.json` files of the teacher and the students.

    Arguments as in `methods_table`. Raises UserError as `read_scores`, `read_models` and `read_deployments` do, and for
    a system that has one of the files only.
    """
    scores, measured = read_scores(metrics, tasks), read_deployments(deployments)
    given = {(task, system) for task in tasks for system in scores[task].files}
    if alone := sorted(given ^ measured.keys()):
        (task, system), lacking = alone[0], "deployment" if alone[0] in given else "metrics"
        raise UserError(f"'{system}' of task '{task}' has no {lacking}.json; give it, or leave out its other file")
    sections, notes = {}, [BEST] if paper else []
    for task, title in tasks.items():
        files = {system: measured[task, system] for system in scores[task].files}
        paths = [path for path, of in zip(deployments, measured, strict=True) if of[0] == task]
        models = folders[task].read(*scores[task].paths, *paths)
        rows = []
        for system, file in files.items():
            size = split_size(system)[1]
            is_teacher = system == TEACHER
            key = models.teacher_key if is_teacher else models.key(size)
            layers = models.teacher_label if is_teacher else models.label(size)
            names = [scores[task].title(title), systems.get(system, system), layers]
            numbers = _numbers(system, file, scores[task], printed(paper, task, key))
            rows.append(Row({"task": task, "system": system, "layers": layers}, names, numbers))
        sections[task] = sorted(rows, key=lambda row: -(row.numbers["speedup"].value or 0))
        first = next(iter(files.values()))
        machine, batch = first["machine"], first["conditions"]["batch_size"]
        notes.append(f"{title}: times on {machine['name']}, threads: {machine['threads']}, in batches of {batch}.")
    caption = CAPTION + MARGIN
    return grid(sections, tasks, NAMES, COLUMNS, paper, title="Size, time and quality", caption=caption, notes=notes)


def _numbers(system: str, file: dict[str, Any], scores: Scores, paper: Printed) -> dict[str, Number]:
    """The numbers of a model; those by transformers may be missing."""
    found = file["runtimes"][FULL]
    missing = found.get("missing")
    ratios = {} if missing else found["speedup"]["throughput"]
    times = {} if missing else inverse(found["inputs_per_s"])
    spread = {f"time_{key}": 1000 * seconds for key, seconds in times.items()}
    return {
        "parameters": Number(file["parameters"]["all"] / 1e6, published=paper("parameters")),
        "time": Number(spread.get("time_median"), missing=missing, published=paper("time"), more=spread),
        "speedup": Number(
            ratios.get("median"),
            missing=missing,
            published=paper("speedup"),
            more={f"speedup_{key}": value for key, value in ratios.items()},
        ),
        "score": scores.number(system, paper(scores.metric)),
    }
