"""The lineage of results: which data, task, method, teacher and seed they were made from.

Every stage writes the lineage of its inputs into its outputs: as `lineage` in the identity of a Parquet file or a
training curve, in a JSON file, and in a model's manifest. Inputs whose lineages disagree belong to different runs.
A stage that several methods share, such as `prepare` or `sample_teacher`, has no method in its lineage.
"""

import logging
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import check_shape, read_identity
from fdistill.artifacts.manifest import manifest_of, model_identity
from fdistill.artifacts.records import is_recorded
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

# The keys of a lineage, in the order in which they are compared, and their names in messages.
DATA, TASK, METHOD, TEACHER, SEED = "data", "task", "method", "teacher", "seed"
_NAMES = {DATA: "version of the data", TASK: "task", METHOD: "method", TEACHER: "teacher", SEED: "seed"}

SPLIT = "split_name"  # the key of a split's name in the identity of its file
TEACHER_METHOD = "teacher"  # the method in the lineage of a fine-tuned teacher

Lineage = dict[str, str]


def lineage_of(path: Path) -> Lineage:
    """Return the lineage that a file or a model's folder contains; empty if this workflow did not make it."""
    content = manifest_of(path) if path.is_dir() else read_identity(path)
    check_shape(path, content, {"lineage?": {...: str}})
    return content.get("lineage", {})


def common_lineage(
    *inputs: Path,
    teacher: Path | None = None,
    start: Path | None = None,
    start_method: str | None = None,
    seed: int | None = None,
    task: str | None = None,
    method: str | None = None,
    seeds_differ: bool = False,
) -> Lineage:
    """Return the lineage that the inputs of a stage share.

    `seed`, `task` and `method` are the stage's own, as far as they are known: the inputs must agree with them.
    `teacher` is the folder of the stage's teacher and `start` that of the model that training starts from, which
    another method made: `start_method` if it is known. With `seeds_differ` the inputs may have different seeds and,
    unless `method` is given, different methods. Raises UserError for inputs of different runs. With `task`, as a rule
    gives it, an input that no record lists is logged: it is read unchecked.
    """
    given = {TASK: task, METHOD: method, SEED: None if seed is None else str(seed)}
    lineages: list[tuple[Any, Lineage]] = [("this run", {key: value for key, value in given.items() if value})]
    if teacher is not None:  # without its seed: one teacher serves the students of all seeds
        lineage = lineage_of(teacher)
        if task is not None:  # by hand, a student may teach another student
            _check_method(teacher, lineage, TEACHER_METHOD)
        shared = {key: value for key, value in lineage.items() if key in (DATA, TASK)}
        lineages.append((teacher, shared | {TEACHER: model_identity(teacher)}))
    if start is not None:
        lineage = lineage_of(start)
        if start_method is not None:
            _check_method(start, lineage, start_method)
        lineages.append((start, {key: value for key, value in lineage.items() if key != METHOD}))
    lineages += [(path, lineage_of(path)) for path in inputs]
    for source, _ in lineages[1:] if task is not None else ():
        if not is_recorded(source):
            log.warning("%s: no record lists it, so that it is read unchecked, as a file from elsewhere", source)
    compared = [key for key in _NAMES if not seeds_differ or (key != SEED and (key != METHOD or method is not None))]
    first_of: dict[str, tuple[Any, str]] = {}  # by key: the first input that has it, and its value
    for source, lineage in lineages:
        for key in compared:
            if key not in lineage:
                continue
            first, value = first_of.setdefault(key, (source, lineage[key]))
            if value != lineage[key]:
                found, expected = (text if key in (TASK, METHOD) else text[:12] for text in (lineage[key], value))
                raise UserError(
                    f"{source}: belongs to another {_NAMES[key]} than {first} ({found}, not {expected}); "
                    "give files of one run, or, of two that the workflow made, delete the older one and run again"
                )
    return {key: value for key, (_, value) in first_of.items()}


def check_place(path: Path, task: str, method: str | None = None) -> None:
    """Raise UserError when the file at `path` says that it belongs to another task or method."""
    common_lineage(path, task=task, method=method, seeds_differ=True)


def check_splits(**splits: Path) -> None:
    """Raise UserError when a file, given by the name of its split, says that it is another split."""
    for name, path in splits.items():
        identity = read_identity(path)
        check_shape(path, identity, {f"{SPLIT}?": str})
        found = identity.get(SPLIT, name)
        if found != name:
            raise UserError(f"{path}: is the split '{found}', expected '{name}'; give the file of the split '{name}'")


def _check_method(path: Path, lineage: Lineage, expected: str) -> None:
    if (found := lineage.get(METHOD, expected)) != expected:
        raise UserError(
            f"{path}: is the model of '{found}', expected that of '{expected}'; give the folder of that model, or, "
            "if it lies in that one's place, delete it and run again"
        )
