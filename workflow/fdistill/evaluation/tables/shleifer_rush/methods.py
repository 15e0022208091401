"""Three families of distillation and what they cost (Table 5), and mixtures of labels (Table 10)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fdistill.artifacts.systems import of_size
from fdistill.evaluation.comparisons import TEACHER
from fdistill.evaluation.costs import Cost, student_costs
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.shleifer_rush import METHODS, MIXTURES, Models
from fdistill.evaluation.tables.numbers import FINE
from fdistill.evaluation.tables.results import MARGIN
from fdistill.evaluation.tables.shleifer_rush.grid import Column, Number, Row, grid
from fdistill.evaluation.tables.shleifer_rush.scores import (
    Folders,
    Printed,
    Scores,
    check_seeds,
    printed,
    read_scores,
    sizes_of,
)
from fdistill.evaluation.tables.table import Table

HOUR = 3600  # seconds
NAMES = ["Task and metric", "Student"]
Numbers = dict[str, Number]
Costs = dict[str, Cost]
NO_RECORD = {
    "reason": "a record of its training is missing, or what training needed",
    "fix": "train here, or copy the records with the results",
}
COSTS = (
    "Students of three methods, by the encoder and decoder layers that they have, and what they cost: hours of wall "
    "time of a student's training and of what it needs beside data and teacher, pseudo-labels included, as the mean "
    "over seeds. "
)
MIXED = (
    "What students learn from: the original labels, pseudo-labels by beam search of the teacher, both, and those of "
    "another teacher too. A student's score is given less its teacher's, with the interval of the paired difference. "
)
SLOW = "The paper's costs are hours of one Nvidia RTX 2080; no difference is given, as the machines differ."


def methods_table(
    metrics: Sequence[Path],
    logs: Mapping[str, list[tuple[str, Path]]],
    folders: Mapping[str, Folders],
    tasks: Mapping[str, str],
    systems: Mapping[str, str],
    paper: PublishedTable | None = None,
) -> Table:
    """Build Table 5 from `metrics.json` files, and the costs from the records beside the students' `train.jsonl`.

    `logs` has (system, file) pairs by task, one per seed; `folders` say which layers a size has. `tasks` and `systems`
    have titles, the former in the order of the sections. Raises UserError as `read_scores`, `read_models`,
    `check_seeds` and `student_costs` do, and for files of different data or teachers.
    """
    scores, sections = read_scores(metrics, tasks), {}
    notes = [SLOW] if paper else []
    for task, title in tasks.items():
        found, of_task = scores[task], logs.get(task, [])
        models = folders[task].read(*found.paths, *(path for _, path in of_task))
        check_seeds(of_task)
        costs = student_costs(of_task)

        def numbers(
            system: str, method: str, published: Printed, found: Scores = found, costs: Costs = costs
        ) -> Numbers:
            cost = _cost(system in found.files, costs.get(system), published(f"{method}.cost"))
            return {method: found.number(system, published(f"{method}.{found.metric}")), f"{method}.cost": cost}

        sections[task] = _rows(task, title, found, models, paper, METHODS, numbers)
        machines = dict.fromkeys(machine for cost in costs.values() for machine in cost.machines)
        notes += [f"{title}: trained on {'; '.join(machines)}."] if machines else []
    columns = [Column(TEACHER, systems.get(TEACHER, "Teacher"))]
    for method in METHODS:
        name = systems.get(method, method)
        columns += [Column(method, name), Column(f"{method}.cost", f"{name}, hours", FINE, comparable=False)]
    return grid(sections, tasks, NAMES, columns, paper, title="SFT, KD and PL", caption=COSTS + MARGIN, notes=notes)


def mixtures_table(
    metrics: Sequence[Path],
    folders: Mapping[str, Folders],
    tasks: Mapping[str, str],
    systems: Mapping[str, str],
    paper: PublishedTable | None = None,
) -> Table:
    """Build Table 10 from `metrics.json` files and the replicates beside them; arguments as in `methods_table`."""
    scores, sections = read_scores(metrics, tasks), {}
    for task, title in tasks.items():
        found = scores[task]

        def numbers(system: str, method: str, published: Printed, found: Scores = found) -> Numbers:
            return {method: found.less_teacher(system, published(method))}

        sections[task] = _rows(task, title, found, folders[task].read(*found.paths), paper, MIXTURES, numbers)
    columns = [Column(TEACHER, systems.get(TEACHER, "Teacher"))]
    columns += [Column(key, systems.get(key, key), signed=True) for key in MIXTURES]
    title = "Original labels and pseudo-labels"
    return grid(sections, tasks, NAMES, columns, paper, title=title, caption=MIXED + MARGIN)


def _rows(
    task: str,
    title: str,
    scores: Scores,
    models: Models,
    paper: PublishedTable | None,
    methods: Sequence[str],
    numbers: Callable[[str, str, Printed], Numbers],
) -> list[Row]:
    """The rows of a task, one per size: the teacher's score, and the `numbers` of each method's system."""
    rows = []
    for size in sizes_of(scores.files, models):
        published, label = printed(paper, task, models.key(size)), models.label(size)
        row = {TEACHER: scores.number(TEACHER, published(f"teacher.{scores.metric}"))}
        for method in methods:
            row |= numbers(of_size(method, size), method, published)
        rows.append(Row({"task": task, "student": label}, [scores.title(title), label], row))
    return rows


def _cost(is_there: bool, cost: Cost | None, published: str | None) -> Number:
    """A student's cost in hours; nothing of a student that there is not."""
    if cost is None:
        return Number(missing=NO_RECORD if is_there else None, published=published)
    more = {"training_hours": cost.training / HOUR, "gpu_hours": cost.gpu_hours}
    return Number(cost.seconds / HOUR, published=published, more=more)
