"""Checks of the sizes of a task's student: stacks, layers, and the models that layers are copied from.

See `fdistill.config.crosschecks`, which runs them.
"""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

from fdistill.config.model_checks import SCRATCH, Task, family_of, is_size, is_whole, outputs_of, whole_models
from fdistill.models.student_layers import PRETRAINED, SPACED, TEACHER, Start, read_notation
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem, dotted, nearest, show


def check_notation(task: Task) -> Iterator[Problem]:
    """Check that a size in the notation `12-3` is one, and that the family has both stacks."""
    for path, student in _students(task):
        if text := _no_size(task, student):
            yield Problem(path, text)


def check_stacks(task: Task) -> Iterator[Problem]:
    """Check that each size of the student has the layers of each of the family's stacks, and of no other stack."""
    family, name = family_of(task), task["model"]["family"]
    stacks = " and ".join(family.stacks)
    for path, student in _sizes(task):
        for stack in student:
            if stack not in family.stacks:
                yield Problem((*path, stack), f"'{name}' has no {stack}, only {stacks}; remove this key")
        for stack in family.stacks:
            if stack not in student:
                yield Problem((*path, stack), f"missing; set the layers of every stack of '{name}': {stacks}")


def check_starts(task: Task) -> Iterator[Problem]:
    """Check that a list of layers says nothing of a choice, and that there is a pre-trained model to copy from."""
    for path, student in _sizes(task):
        for stack, value in student.items():
            start = Start.read(value)
            if start.choose != SPACED and isinstance(start.layers, list):
                text = f"{show(start.choose)} is not used with the list {show(start.layers)}"
                yield Problem((*path, stack, "choose"), f"{text}; remove it, or give a number of layers")
            if start.origin == PRETRAINED and _scratch_config(task) is not None:
                text = f"the teacher is trained from random weights (model.teacher.init {SCRATCH})"
                yield Problem((*path, stack, "from"), f"{text}, so that there is no {PRETRAINED} model; remove it")


def origin_problems(name: str, tasks: dict[str, Task], selected: list[str]) -> Iterator[Problem]:
    """Yield a problem for each other task whose teacher's layers a student of task `name` cannot copy.

    `tasks` are those without mistakes of their own, `selected` the names of those that the study has.
    """
    for path, student in _sizes(tasks[name]):
        for stack, value in student.items():
            other = Start.read(value).origin
            if other not in (TEACHER, PRETRAINED) and (why := _unfit(name, other, tasks, selected)):
                yield Problem((*path, stack, "from"), why)


def _unfit(name: str, other: str, tasks: dict[str, Task], selected: list[str]) -> str | None:
    """Return why the layers of the teacher of task `other` cannot be copied in task `name`; None if they can."""
    if other == name:
        return f"'{name}' is this task; write {TEACHER}"
    if other not in selected:
        known = nearest(other, [TEACHER, PRETRAINED, *(task for task in selected if task != name)])
        return f"'{other}' is no task of the study; {known}"
    if other not in tasks:  # its own mistakes are reported
        return None
    teachers = [tasks[task]["model"]["teacher"] for task in (other, name)]
    if outputs_of(tasks[other]) is not None:
        return f"the teacher of '{other}' is a file of outputs, without layers; take a task whose teacher is a model"
    families = [tasks[task]["model"]["family"] for task in (other, name)]
    if families[0] != families[1]:
        return f"the teacher of '{other}' is a {families[0]} model, not {families[1]}; take a task of the same family"
    for task, teacher in zip((other, name), teachers, strict=True):
        if teacher is not None and teacher["init"] == SCRATCH:
            text = f"the teacher of '{task}' is trained from scratch with a vocabulary of its own"
            return f"{text}, in which layers of another model mean nothing; use tasks whose teachers are fine-tuned"
    return None


def check_student_sizes(task: Task) -> Iterator[Problem]:
    """Check the names of the student's further sizes, and that no two sizes are the same."""
    earlier: list[tuple[KeyPath, Any]] = []
    for path, layers in _sizes(task):
        starts = {stack: Start.read(value) for stack, value in layers.items()}
        if not re.fullmatch("[a-z0-9_]+(-[a-z0-9_]+)*", path[-1]):
            text = "becomes part of a folder's name; use lower-case letters, digits, _ and, between them, -"
            yield Problem(path, f"'{path[-1]}' {text}")
        for other in (other for other, theirs in earlier if theirs == starts):
            yield Problem(path, f"{show(layers)} is {dotted(other)} already; remove this one")
        earlier.append((path, starts))


def check_depth(task: Task) -> Iterator[Problem]:
    """Check that the teacher, if it is trained from scratch, has the layers that each size of the student copies."""
    config = _scratch_config(task)
    if config is None:
        return
    stacks = {stack: layout.size_key for stack, layout in family_of(task).stacks.items()}
    for (path, student), (stack, key) in product(_sizes(task), stacks.items()):
        start, depth = Start.read(student[stack]), config[key]
        layers = start.layers
        if not is_size(depth):
            continue
        if start.count > depth:
            reason = f"the teacher has {depth} (model.teacher.config.{key})"
            text = f"{show(layers)} is a student of {start.count} layers, but {reason}; set 1 to {depth}"
            yield Problem((*path, stack), text)
        if isinstance(layers, list) and max(layers) >= depth:
            text = f"{show(layers)}: the teacher has no layer {max(layers)}; its layers are 0 to {depth - 1}"
            yield Problem((*path, stack), text)


def _scratch_config(task: Task) -> dict[str, Any] | None:
    """Return the configuration of a teacher from scratch; None for a checkpoint, whose size is not known here."""
    of_teacher = (start for owner, start, _ in whole_models(task) if owner == "teacher")
    return next((start["config"] for start in of_teacher if start["init"] == SCRATCH), None)


def _sizes(task: Task) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield the key and the layers per stack of each size of the student that `check_notation` accepts.

    A student that is a model by itself (`init`) copies no layers: see `whole_student_checks`.
    """
    for path, student in _students(task):
        if _no_size(task, student) is None and not is_whole(layers := read_notation(student)):
            yield path, layers


def _no_size(task: Task, student: Any) -> str | None:
    """Return why a text is no size of the student; None if it is one, and for a mapping."""
    family, name = family_of(task), task["model"]["family"]
    if isinstance(student, dict):
        return None
    if len(family.stacks) == 1:
        (stack,) = family.stacks
        text = f"{show(student)} has layers of two stacks, and '{name}' only those of its {stack}"
        return f"{text}; write a mapping, as {{{stack}: 3}}"
    try:
        read_notation(student)
    except UserError as error:
        return str(error)
    return None


def _students(task: Task) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the key and the value of each size of the student, which may be a text such as 12-3."""
    model = task["model"]
    yield ("model", "student"), model["student"]
    for name, student in model["student_sizes"].items():
        yield ("model", "student_sizes", name), student
