"""From which layers a student learns best (Tables 8 and 9)."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from fdistill.artifacts.systems import split_size
from fdistill.evaluation.histories import LOSS, dev_points, read_log
from fdistill.evaluation.published import PublishedTable
from fdistill.evaluation.shleifer_rush import Models
from fdistill.evaluation.tables.numbers import NONE
from fdistill.evaluation.tables.shleifer_rush.grid import Column, Number, Row, grid
from fdistill.evaluation.tables.shleifer_rush.scores import Folders, check_seeds, printed
from fdistill.evaluation.tables.table import Table
from fdistill.models.student_layers import PRETRAINED, RANDOM, TEACHER, Layers
from fdistill.runtime.errors import UserError

NAMES = ["Task", "Start", "Layers", "From"]
ORIGINS = {TEACHER: "teacher", PRETRAINED: "pre-trained"}
NO_LOSS = {"reason": "the training curve has no loss on the development split", "fix": "train for a step or more"}
CAPTION = (
    "Starts of a student: the layers that it copies in the stacks where starts differ, the model that they come from, "
    "and the lowest loss on the development split in training (NLL per token, in nats), as the mean over seeds. The "
    "lower, the better. Compare only starts of as many layers."
)


def starts_table(
    logs: Mapping[str, list[tuple[str, Path]]],
    folders: Mapping[str, Folders],
    tasks: Mapping[str, str],
    systems: Mapping[str, str],
    paper: PublishedTable | None = None,
) -> Table:
    """Build Tables 8 and 9 from the `train.jsonl` of one method's sizes, whose starts they compare.

    Arguments as in `methods_table`. Raises UserError for a task without a training curve, for a damaged one, and as
    `check_seeds` does.
    """
    sections = {}
    for task, title in tasks.items():
        if not logs.get(task):
            raise UserError(f"no training curve of task '{task}'; give {task}/SYSTEM=FILE, or leave out the task")
        models = folders[task].read(*(path for _, path in logs[task]))
        check_seeds(logs[task])
        losses: dict[str, list[float | None]] = {}
        for system, path in logs[task]:
            points = dev_points(read_log(path), LOSS)
            losses.setdefault(system, []).append(min((value for step, value in points if step), default=None))
        sizes = [split_size(system)[1] for system in losses]
        stacks = _differing(models, sizes)
        section = []
        for system, of_seeds in losses.items():
            size = split_size(system)[1]
            layers, origin = _described(models, size, stacks)
            loss = _loss(of_seeds, printed(paper, task, _key(models, size))("loss"))
            names = [title, systems.get(system, system), layers, ORIGINS.get(origin, tasks.get(origin, origin))]
            place = {"task": task, "system": system, "layers": layers, "from": origin}
            section.append(Row(place, names, {LOSS: loss}))
        sections[task] = section
    columns = [Column(LOSS, "Lowest loss")]
    return grid(sections, tasks, NAMES, columns, paper, title="Starts of the student", caption=CAPTION)


def _differing(models: Models, sizes: list[str | None]) -> list[str]:
    """The stacks in which the starts differ, the decoder if they do not."""
    starts = [models.starts_of(size) for size in sizes]
    differing = [stack for stack in models.depths if any(start[stack] != starts[0][stack] for start in starts)]
    return differing or list(models.depths)[-1:]


def _described(models: Models, size: str | None, stacks: list[str]) -> tuple[str, str]:
    """The layers that a size copies in `stacks`, and the model that they come from; a dash for random ones."""
    copied = models.copied(size)
    layers = [_numbers(copied[stack]) for stack in stacks]
    named = layers if len(stacks) == 1 else [f"{stack} {text}" for stack, text in zip(stacks, layers, strict=True)]
    origins = [models.starts_of(size)[stack].origin for stack in stacks if RANDOM not in copied[stack]]
    return "; ".join(named), ", ".join(dict.fromkeys(origins)) or NONE


def _numbers(layers: Layers) -> str:
    return NONE if RANDOM in layers else ",".join(map(str, layers))


def _key(models: Models, size: str | None) -> dict[str, str | None] | None:
    """What the paper's row of a start says: the decoder's layers and their model, beside the teacher's encoder."""
    *others, decoder = models.depths
    copied, starts = models.copied(size), models.starts_of(size)
    if any(copied[stack] != list(range(models.depths[stack])) or starts[stack].origin != TEACHER for stack in others):
        return None
    layers = copied[decoder]
    is_random = RANDOM in layers
    found: dict[str, Any] = {"layers": None, "from": None}
    if not is_random:
        found = {"layers": ",".join(map(str, layers)), "from": starts[decoder].origin}
    return {"teacher": models.family, **found}


def _loss(of_seeds: list[float | None], published: str | None) -> Number:
    if None in of_seeds:
        return Number(missing=NO_LOSS, published=published)
    more = {"seeds": len(of_seeds), "std": stdev(of_seeds) if len(of_seeds) > 1 else None}
    return Number(fmean(of_seeds), published=published, more=more)
