"""What a study's claims are decided from: comparisons of its students, and what it has measured beside them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.evaluation.comparisons import COMPARISONS_FILE
from fdistill.runtime.errors import UserError

# Kinds of measurements: the files of bench_online.py and bench_layers.py, and the teacher's risk.json.
ONLINE, LAYERS, TEACHER = "online", "layers", "teacher"

Compared = Mapping[str, Any]


@dataclass(frozen=True)
class Decisive:
    """A study's files of comparisons by task, its number of seeds, and by kind and task the files of measurements.

    A file has also `unusable`, the methods that its task's teacher from outside does not allow; none if it is a model.
    `metrics` has each student's `metrics.json` by task and system, where claims compare tasks.
    """

    compared: dict[str, Compared]
    seeds: int
    measured: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    metrics: Mapping[tuple[str, str], Path] = field(default_factory=dict)


def read_study(
    comparisons: Iterable[Path],
    measured: Mapping[str, Mapping[str, Path]],
    metrics: Mapping[tuple[str, str], Path],
    unusable: Collection[tuple[str, str]],
) -> Decisive:
    """Read files of comparisons, one for each task. Raises UserError for two of a task and for different seeds."""
    files: dict[str, Compared] = {}
    first: tuple[Path | None, list[str]] = (None, [])  # a file with seeds, and they
    for path in comparisons:
        file = read_json(path, COMPARISONS_FILE)
        if file["task"] in files:
            raise UserError(f"{path}: a second file of task '{file['task']}'; give one of each task")
        files[file["task"]] = file | {"unusable": [method for task, method in unusable if task == file["task"]]}
        for seeds in (entry["seeds"] for entry in file["metrics"].values() if entry["seeds"]):
            first = first if first[1] else (path, seeds)
            if seeds != first[1]:
                raise UserError(
                    f"{path}: has the seeds {', '.join(seeds)}, but {first[0]} has {', '.join(first[1])}; give files "
                    "of one study, or, of two that the workflow made, delete the older one and run again"
                )
    return Decisive(files, len(first[1]), measured, metrics)
