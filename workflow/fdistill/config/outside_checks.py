"""Checks of a task whose teacher is from outside: its files of outputs, and the keys that it does not use.

See `fdistill.config.crosschecks`, which runs them. Its student: `whole_student_checks`; its methods: `usable_methods`.
"""

from collections.abc import Iterator

from fdistill.config.model_checks import OUTPUTS, Task, outputs_of
from fdistill.config.unlabelled import has_unlabelled
from fdistill.data.outputs import outputs_file
from fdistill.data.sources import UNLABELLED
from fdistill.data.unlabelled import SHARE
from fdistill.losses.sequences import STORED_SEQUENCES
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem

FILES = ("train", UNLABELLED, "test")  # keys of `model.teacher.outputs`
KEY: KeyPath = ("model", "teacher", OUTPUTS)
# Keys of a task about a teacher that is a model, or another one.
UNUSED = (
    *STORED_SEQUENCES,
    "teacher_cache",
    "teacher_cache_tokens",
    "other_teacher",
)


def check_outputs(task: Task) -> Iterator[Problem]:
    """Check the names of the files of outputs, which need not exist yet, and that unlabelled inputs have theirs."""
    outputs = outputs_of(task)
    if outputs is not None and has_unlabelled(task) != (outputs[UNLABELLED] is not None):
        missing = "outputs for them" if has_unlabelled(task) else "unlabelled inputs"
        text = f"the task has no {missing}: give this file and source.path.{UNLABELLED} (or source.{SHARE}), or neither"
        yield Problem((*KEY, UNLABELLED), text)
    for split in FILES if outputs is not None else ():
        if outputs[split] is not None:
            try:
                outputs_file(outputs[split])
            except UserError as error:
                yield Problem((*KEY, split), str(error))


def check_unused(task: Task, given: Task) -> Iterator[Problem]:
    """Check that a task with outputs says nothing of a teacher that is a model; `given` is it without its defaults."""
    if outputs_of(task) is None:
        return
    teacher = given.get("model", {}).get("teacher") or {}
    paths = [("model", "teacher", key) for key in teacher if key != OUTPUTS]
    paths += [(key,) for key in UNUSED if given.get(key) is not None]
    paths += [("training", "teacher")] if "teacher" in given.get("training", {}) else []
    for path in paths:
        yield Problem(path, "not used: the teacher is files of outputs (model.teacher.outputs); remove it")
